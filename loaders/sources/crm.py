"""The crm API."""

from loaders.contracts import entities_of
from loaders.sources.base import ApiSource

CRM = ApiSource(name="crm", entities=entities_of("crm"))
