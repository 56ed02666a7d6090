"""dbt's project, parsed once for all processes of a test run: it takes seven seconds."""

import gc
from argparse import Namespace
from pathlib import Path
from typing import Any

from dbt.contracts.graph.manifest import Manifest
from dbt.flags import get_flags, set_flags
from dbt.parser.manifest import (
    extended_mashumaro_encoder,
    extended_mashumuro_decoder,
    write_manifest,
)
from filelock import FileLock

from ledger.settings import Settings
from operations import dbt_runner

parse = dbt_runner.parse


class SharedManifests:
    """Manifests in a folder that the processes share, by target and name of the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def parse(self, settings: Settings) -> Any:
        """As `dbt_runner.parse`, but a process takes what another one has parsed."""
        key = dbt_runner.manifest_key(settings)
        if key not in dbt_runner.manifests:
            path = self._folder / f"{'-'.join(key)}.manifest"
            with FileLock(f"{path}.lock"):
                if path.exists():
                    keep(settings, path.read_bytes())
                else:
                    parse(settings)
                    path.write_bytes(packed(settings))
            gc.freeze()
        return parse(settings)


def packed(settings: Settings) -> bytes:
    """What was parsed, for another process. dbt's manifest is not whole after pickling."""
    data: bytes = dbt_runner.parse(settings).to_msgpack(extended_mashumaro_encoder)
    return data


def keep(settings: Settings, data: bytes) -> None:
    """Take what another process has parsed."""
    manifest = Manifest.from_msgpack(data, decoder=extended_mashumuro_decoder)
    manifest.build_flat_graph()
    dbt_runner.manifests[dbt_runner.manifest_key(settings)] = manifest


def write(settings: Settings) -> Path:
    """Write what dbt writes when it parses; gives the file of the semantic layer."""
    target = settings.home / "target"
    target.mkdir(exist_ok=True)
    manifest = dbt_runner.parse(settings)
    if not hasattr(get_flags(), "SEND_ANONYMOUS_USAGE_STATS"):
        # dbt has not run in this process: another one has parsed.
        set_flags(Namespace(SEND_ANONYMOUS_USAGE_STATS=False))
    write_manifest(manifest, str(target))
    return target / "semantic_manifest.json"
