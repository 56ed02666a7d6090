"""Every error that a user can foresee. Each names the thing, the value and the way out.

WarehouseError
├── SettingsError        a setting is missing or makes no sense
├── LockedError          another run holds the target
├── SourceError          a source did not give complete data
│   ├── SourceRefused    it answered no: 401, 403, 404, 400; repeating does not help
│   ├── SourceUnavailable  it did not answer well, also not after retries
│   └── CircuitOpen      it failed so often that it is left alone for a while
├── BalanceError         received = landed + duplicate + dead does not hold
├── TargetError          the warehouse database cannot be opened or written
├── BuildError           dbt reported a failure
├── NotPublishedError    readers ask for marts, and none have passed an audit yet
└── RequestError         a reader asks for what is not there, or in a way that makes no sense
    └── NotFoundError    there is no such thing, or not for this reader
"""


class WarehouseError(Exception):
    """Base of all foreseeable errors; `str()` is one line for a person."""


class SettingsError(WarehouseError):
    """A setting is missing or makes no sense."""


class LockedError(WarehouseError):
    """Another run holds the target."""


class SourceError(WarehouseError):
    """A source did not give complete data."""


class SourceRefused(SourceError):
    """The source answered no; repeating the request does not help."""


class SourceUnavailable(SourceError):
    """The source did not answer well, also not after retries."""


class CircuitOpen(SourceError):
    """The source failed so often that it is left alone for a while."""


class BalanceError(WarehouseError):
    """The figures of a sync do not balance."""


class TargetError(WarehouseError):
    """The warehouse database cannot be opened or written."""


class BuildError(WarehouseError):
    """dbt reported a failure."""


class NotPublishedError(WarehouseError):
    """No version of the marts has been published yet."""


class RequestError(WarehouseError):
    """A reader asks for something that makes no sense."""


class NotFoundError(RequestError):
    """There is no such thing, or not for this reader; the answer is the same."""
