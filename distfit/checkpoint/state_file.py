"""state.json: what a checkpoint is, who wrote it when, and the state of the training."""

from __future__ import annotations

import datetime as dt
import functools
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from distfit.checkpoint.damage import DamagedCheckpoint, NewerCheckpoint

STATE = "state.json"
VERSION = 1
"""Of the format; docs/checkpoint-format.md says what may change without another one."""

_FORMAT = "distfit checkpoint"
_PACKAGES = {"distfit": "distfit-mpi", "numpy": "numpy", "mpi4py": "mpi4py", "safetensors": "safetensors"}


@dataclass(frozen=True, slots=True)
class Document:
    """What a state.json says.

    Attributes:
        created: when it was written, in UTC.
        libraries: versions by name, of those that wrote it.
        tree: the state, with placeholders for what JSON lacks; see `state_tree`.
    """

    created: dt.datetime
    libraries: Mapping[str, str]
    tree: Mapping[str, Any]


def render(tree: Mapping[str, Any]) -> bytes:
    """Return a state.json's bytes.

    Args:
        tree: the state, of what strict JSON can hold.

    Ranks: local.
    """
    document = {
        "format": _FORMAT,
        "version": VERSION,
        "created": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "libraries": _libraries(),
        "state": tree,
    }
    # ASCII: a file name that is no UTF-8 has characters in Python that UTF-8 has no form for.
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1).encode() + b"\n"


def parse(content: bytes, path: Path) -> Document:
    """Return what a state.json's bytes say.

    Args:
        content: the bytes.
        path: of the file, for an error.

    Raises:
        DamagedCheckpoint: if they are none of such a file.
        NewerCheckpoint: if a later distfit wrote them.

    Ranks: local.
    """
    try:
        document = json.loads(content.decode(), parse_constant=_refuse)
        if document["format"] != _FORMAT:
            raise ValueError(f"its format is {document['format']!r}")
        version, libraries = document["version"], document["libraries"]
        if version > VERSION:
            raise NewerCheckpoint(
                f"{path.parent} is a checkpoint of format {version}, which distfit {libraries.get('distfit')} wrote."
                f" This distfit reads formats up to {VERSION}: install that version, or a later one"
            )
        return Document(dt.datetime.fromisoformat(document["created"]), libraries, document["state"])
    except NewerCheckpoint:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{path.name} is no state of a checkpoint: {error}") from error


@functools.cache
def _libraries() -> dict[str, str]:
    """Return the versions of what writes here, which takes a few milliseconds to find out."""
    versions = {name: importlib.metadata.version(package) for name, package in _PACKAGES.items()}
    return {"python": platform.python_version(), **versions}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
