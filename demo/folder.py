"""A folder of demo data: `<entities>.jsonl[.gz]` ─▶ files by entity ─▶ lines, verbatim."""

import codecs
import gzip
from collections.abc import Collection, Iterator
from pathlib import Path

ENDINGS = (".jsonl", ".jsonl.gz")


class DemoDataError(ValueError):
    """Demo data cannot be served; the message is one line and names the place."""


def data_files(folder: Path, entities: Collection[str]) -> dict[str, Path]:
    """The file of each entity that has one.

    Raises:
        DemoDataError: there is no such folder, none of its files is of an entity, or an entity has
            two.
    """
    if not folder.is_dir():
        raise DemoDataError(f"no such folder of demo data: {folder}")
    files: dict[str, Path] = {}
    for entity in entities:
        found = [file for ending in ENDINGS if (file := folder / f"{entity}{ending}").is_file()]
        if len(found) > 1:
            names = " and ".join(file.name for file in found)
            raise DemoDataError(f"{folder} has {names}; keep the one that counts")
        if found:
            files[entity] = found[0]
    if not files:
        raise DemoDataError(f"no <entities>.jsonl or <entities>.jsonl.gz file in {folder}")
    return files


def stray_files(folder: Path, entities: Collection[str]) -> list[str]:
    """Names of files that look like data and are of no entity."""
    known = {f"{entity}{ending}" for entity in entities for ending in ENDINGS}
    names = (file.name for file in folder.iterdir() if file.name.endswith(ENDINGS))
    return sorted(name for name in names if name not in known)


def lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbers and bytes of the lines that hold something; a byte order mark is no part of them.

    Raises:
        DemoDataError: the file cannot be read to its end.
    """
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                stripped = text.rstrip(b"\r\n")
                if stripped.strip():
                    yield number, stripped
    except (OSError, EOFError) as error:
        raise DemoDataError(f"{file}, after line {number}: cannot be read: {error}") from None
