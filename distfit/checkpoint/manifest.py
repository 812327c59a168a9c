"""SHA256SUMS: the digest of each file of a checkpoint, as ``sha256sum --check`` reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from distfit.checkpoint.damage import DamagedCheckpoint
from distfit.checkpoint.digest_file import DigestFile

MANIFEST = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-f]{64})  ([^/\n]+)\n")


def write_manifest(folder: Path, digests: Mapping[str, str]) -> None:
    """Write the digests of a folder's files, by name.

    Raises:
        OSError: if the file cannot be written.

    Ranks: local.
    """
    with DigestFile(folder / MANIFEST) as file:
        file.write("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode())
        file.finish()


def read_manifest(folder: Path) -> dict[str, str]:
    """Return the digests of a folder's files, by name.

    What `write_manifest` could not have written is an error: of the forms that ``sha256sum`` reads this takes one
    alone, so that no byte can be another one unseen.

    Raises:
        DamagedCheckpoint: if the file is missing, or not as it was written.

    Ranks: local.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise DamagedCheckpoint(f"{MANIFEST} is missing") from None
    except UnicodeDecodeError as error:
        raise DamagedCheckpoint(f"{MANIFEST} is not as it was written: {error}") from error
    entries = []
    for line in text.splitlines(keepends=True):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DamagedCheckpoint(f"{MANIFEST} is not as it was written: {line!r} is no digest and name")
        entries.append((match[2], match[1]))
    digests = dict(entries)
    if not digests or entries != sorted(digests.items()):
        raise DamagedCheckpoint(
            f"{MANIFEST} is not as it was written: its names are not sorted, each of them once"
        )
    return digests
