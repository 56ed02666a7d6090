"""The commerce API."""

from loaders.contracts import entities_of
from loaders.sources.base import ApiSource

COMMERCE = ApiSource(name="commerce", entities=entities_of("commerce"))
