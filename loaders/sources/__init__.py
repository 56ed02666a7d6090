"""The sources, by name. A new API is a file here, a contract and a staging model."""

from loaders.sources.base import ApiSource
from loaders.sources.commerce import COMMERCE
from loaders.sources.crm import CRM
from loaders.sources.support import SUPPORT

SOURCES: dict[str, ApiSource] = {source.name: source for source in (CRM, COMMERCE, SUPPORT)}
