"""The support API."""

from loaders.contracts import entities_of
from loaders.sources.base import ApiSource

SUPPORT = ApiSource(name="support", entities=entities_of("support"))
