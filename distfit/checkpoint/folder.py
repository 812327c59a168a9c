"""A checkpoint's folder: which files it has, how they are written, read and verified."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distfit.checkpoint import parts, state_file, unfinished
from distfit.checkpoint.checkpoint import Checkpoint
from distfit.checkpoint.damage import DamagedCheckpoint, NewerCheckpoint
from distfit.checkpoint.digest_file import CHUNK_BYTES, DigestFile
from distfit.checkpoint.manifest import MANIFEST, read_manifest, write_manifest
from distfit.checkpoint.safetensors_file import parse_safetensors, write_safetensors
from distfit.checkpoint.state_file import STATE
from distfit.checkpoint.state_tree import decode, encode

WEIGHTS, OPTIMIZER, STATE_ARRAYS = "weights.safetensors", "optimizer.safetensors", "state.safetensors"

_UNREADABLE = (
    errno.EIO,
    errno.EISDIR,
)  # a disk that cannot read a file, and a folder of that name: both are damage


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint's folder, which is whole or absent whenever the process dies.

    Args:
        path: of the folder. Those that it lies in are made where they are missing.
        checkpoint: what it holds.

    Raises:
        FileExistsError: if there is something at the path already.
        OSError: if it cannot be written. Nothing is left of it then.
        TypeError: for something in the checkpoint that the format has no form for, naming its place.

    Ranks: local; one rank, any thread.
    """
    folder = unfinished.begin(Path(path))
    try:
        fill(folder, checkpoint)
        unfinished.finish(folder)
    except BaseException:
        unfinished.abandon(folder)
        raise


def fill(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint's files into a folder that has none but, perhaps, parts.

    Raises:
        OSError: if one cannot be written.
        TypeError: for something that the format has no form for.
        ValueError: if a part is missing.

    Ranks: local; one rank, any thread.
    """
    digests = parts.take_digests(folder)
    tree, state_arrays = encode(checkpoint.state)
    for name, arrays in (
        (WEIGHTS, checkpoint.weights),
        (OPTIMIZER, checkpoint.optimizer),
        (STATE_ARRAYS, state_arrays),
    ):
        with DigestFile(folder / name) as file:
            write_safetensors(file, arrays)
            digests[name] = file.finish()
    with DigestFile(folder / STATE) as file:
        file.write(state_file.render(tree))
        digests[STATE] = file.finish()
    write_manifest(folder, digests)


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint, and verify all of it.

    Args:
        path: of its folder.

    Raises:
        DamagedCheckpoint: a ValueError, naming the files that are damaged and how.
        NewerCheckpoint: a ValueError, if a later distfit wrote it.
        FileNotFoundError: if there is no folder.
        OSError: if it cannot be read.

    Ranks: local; any rank.
    """
    folder = Path(path)
    contents: dict[str, np.ndarray] = {}
    problems = _examine(folder, contents)
    if problems:
        raise DamagedCheckpoint(f"the checkpoint {folder} is damaged: {'; '.join(problems)}")
    try:
        tree = state_file.parse(contents[STATE].tobytes(), folder / STATE).tree
        weights, optimizer, state_arrays = (
            parse_safetensors(contents[name], name)[0] for name in (WEIGHTS, OPTIMIZER, STATE_ARRAYS)
        )
        pieces = [parse_safetensors(contents[name], name) for name in contents if parts.PART.fullmatch(name)]
        for name, array in parts.assemble(pieces).items():
            section, _, rest = name.partition("/")
            {"weights": weights, "optimizer": optimizer}[section][rest] = array
        return Checkpoint(weights, optimizer, decode(tree, state_arrays))
    except NewerCheckpoint:
        raise
    except (ValueError, KeyError, TypeError) as error:  # whole files of whoever wrote other things into them
        raise DamagedCheckpoint(f"the checkpoint {folder} is damaged: {error}") from error


def verify(path: str | os.PathLike[str]) -> list[str]:
    """Return what is wrong with a checkpoint: nothing, if it is as it was written.

    Args:
        path: of its folder.

    Raises:
        FileNotFoundError: if there is no folder.
        OSError: if it cannot be read.

    Ranks: local; any rank.
    """
    try:
        return _examine(Path(path))
    except NewerCheckpoint as error:
        return [str(error)]


@dataclass(frozen=True, slots=True)
class Glance:
    """What a checkpoint's state.json says.

    Attributes:
        created: when it was written, in UTC.
        libraries: versions by name, of those that wrote it.
        state: of the training, with None for each array.
    """

    created: dt.datetime
    libraries: Mapping[str, str]
    state: Mapping[str, Any]


def glance(path: str | os.PathLike[str]) -> Glance:
    """Return what a checkpoint's state.json says, without verifying it.

    Args:
        path: of the checkpoint's folder.

    Raises:
        DamagedCheckpoint: if it says nothing.
        NewerCheckpoint: if a later distfit wrote it.
        OSError: if it cannot be read.

    Ranks: local; any rank.
    """
    file = Path(path) / STATE
    document = state_file.parse(file.read_bytes(), file)
    try:
        return Glance(document.created, document.libraries, decode(document.tree, None))
    except (ValueError, KeyError) as error:
        raise DamagedCheckpoint(f"{STATE} is no state of a checkpoint: {error}") from error


def _examine(folder: Path, contents: dict[str, np.ndarray] | None = None) -> list[str]:
    """Return what is wrong with a folder's files, and put their bytes into `contents`, if that is given."""
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no checkpoint", str(folder))
    try:
        digests = read_manifest(folder)
    except DamagedCheckpoint as error:
        return [str(error)]
    # Hidden files are none of the checkpoint's: an editor or a network file system makes them as it likes.
    there = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")} - {MANIFEST}
    problems = [f"{name} is missing" for name in sorted(digests.keys() - there)]
    problems += [f"{name} is not listed in {MANIFEST}" for name in sorted(there - digests.keys())]
    for name in sorted(digests.keys() & there):
        try:
            digest, content = _read(folder / name, keep=contents is not None)
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            problems.append(f"{name} cannot be read: {error.strerror}")
            continue
        if digest != digests[name]:
            problems.append(f"{name} is not as it was written: another SHA-256 than in {MANIFEST}")
        if contents is not None:
            contents[name] = content
    return problems or _incomplete(folder, digests)


def _incomplete(folder: Path, names: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a folder whose files are all as they were written: this format may ask for others."""
    try:
        if STATE in names:
            glance(folder)
        missing = [name for name in (WEIGHTS, OPTIMIZER, STATE_ARRAYS, STATE) if name not in names]
        parts.check_complete(names)
    except NewerCheckpoint:
        raise
    except ValueError as error:
        return [str(error)]
    return [f"{name} is missing" for name in missing]


def _read(path: Path, *, keep: bool) -> tuple[str, np.ndarray]:
    """Return a file's SHA-256 and, if they are to be kept, its bytes."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        content = np.empty(size if keep else min(size, CHUNK_BYTES), np.uint8)
        view = content.data
        while count := file.readinto(view[:CHUNK_BYTES]):
            digest.update(view[:count])
            view = view[count:] if keep else view
    return digest.hexdigest(), content
