"""A local REST API, deterministic data: generator or folder -> `Store` -> `DemoServer` -> pages.

Nothing is written to disk and nothing of the project is imported, so the main job can run, be
tested and be measured with no account anywhere. The same seed, scale and as-of give the same bytes.
"""

from demo.changes import advance
from demo.faults import Fault, Faults, FaultSpecError
from demo.folder import DemoDataError
from demo.generator import generate
from demo.server import DemoServer, create_app
from demo.store import SOURCE_OF, SOURCES, Store

__all__ = [
    "SOURCES",
    "SOURCE_OF",
    "DemoDataError",
    "DemoServer",
    "Fault",
    "FaultSpecError",
    "Faults",
    "Store",
    "advance",
    "create_app",
    "generate",
]
