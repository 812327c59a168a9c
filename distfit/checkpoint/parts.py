"""Arrays that no rank holds whole: each rank writes its slices, and whoever reads them puts them together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distfit.checkpoint import files
from distfit.checkpoint.damage import DamagedCheckpoint
from distfit.checkpoint.digest_file import DigestFile
from distfit.checkpoint.safetensors_file import write_safetensors

PART = re.compile(r"part-(?P<part>\d{5,})-of-(?P<parts>\d{5,})\.safetensors")
"""The name of a part's file."""

SECTIONS = ("weights", "optimizer")
"""What a slice's array may belong to."""

_DIGEST_ENDING = ".sha256"


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive numbers of an array.

    Attributes:
        values: the numbers, of shape ``(n,)``.
        offset: of the first one in the whole array, flat and in C order.
        shape: of the whole array.
    """

    values: np.ndarray
    offset: int
    shape: tuple[int, ...]


def write_part(folder: Path, part: int, parts: int, arrays: Mapping[str, Slice]) -> None:
    """Write this part's slices, and their digest beside them.

    Args:
        folder: that `Store.begin` made, and whose path all ranks agreed on. It lies where all of them can write.
        part: this one's number, from 0.
        parts: how many there are.
        arrays: slices by ``"weights/"`` or ``"optimizer/"`` and the array's name. None is fine.

    Raises:
        ValueError: for another name, a part that there is not, or a slice that is none of its array.
        OSError: if the files cannot be written.

    Ranks: local; each rank that holds a part. Once all have returned, root may commit.

    Example:
        >>> import numpy as np, tempfile
        >>> from distfit.checkpoint import Checkpoint, Slice, Store, load, write_part
        >>> store = Store(tempfile.mkdtemp())
        >>> folder = store.begin()
        >>> for part in (0, 1):
        ...     half = Slice(np.array([part, part]), offset=2 * part, shape=(2, 2))
        ...     write_part(folder, part, 2, {"optimizer/dense/kernel/m": half})
        >>> load(store.commit(folder, Checkpoint())).optimizer["dense/kernel/m"].tolist()
        [[0, 0], [1, 1]]
    """
    if not 0 <= part < parts:
        raise ValueError(f"a part's number is 0 or more, and below their number {parts}. Received: {part}")
    for name, piece in arrays.items():
        _check(name, piece)
    where = {
        name: json.dumps({"offset": piece.offset, "shape": list(piece.shape)})
        for name, piece in arrays.items()
    }
    name = f"part-{part:05d}-of-{parts:05d}.safetensors"
    with DigestFile(folder / name) as file:
        write_safetensors(file, {name: piece.values for name, piece in arrays.items()}, where)
        digest = file.finish()
    with DigestFile(folder / f"{name}{_DIGEST_ENDING}") as file:
        file.write(digest.encode())
        file.finish()


def take_digests(folder: Path) -> dict[str, str]:
    """Return the digests of all parts in an unfinished folder, by file name, and remove the files that they were in.

    Raises:
        ValueError: if a part is missing, or they are not of one set.
        OSError: if one cannot be read.

    Ranks: local; root, once all ranks have written their parts.
    """
    found = [path for path in folder.iterdir() if path.name.endswith(_DIGEST_ENDING)]
    digests = {path.name.removesuffix(_DIGEST_ENDING): path.read_text(encoding="utf-8") for path in found}
    check_complete(digests)
    for path in sorted(found):
        files.unlink(path)
    return digests


def check_complete(names: Mapping[str, object]) -> None:
    """Raise unless the parts among some file names are all parts of one set, or there is none.

    Raises:
        ValueError: naming what is missing, or too many.

    Ranks: local.
    """
    matches = [match for match in map(PART.fullmatch, names) if match]
    numbers = sorted(int(match["part"]) for match in matches)
    totals = {int(match["parts"]) for match in matches}
    if len(totals) > 1:
        raise ValueError(
            f"the parts are of different sets: {', '.join(sorted(match[0] for match in matches))}"
        )
    missing = sorted(set(range(max(totals, default=0))) - set(numbers))
    if missing:
        raise ValueError(f"of {max(totals)} parts some are missing: {', '.join(map(str, missing))}")


def assemble(parts: Sequence[tuple[Mapping[str, np.ndarray], Mapping[str, str]]]) -> dict[str, np.ndarray]:
    """Return whole arrays.

    Args:
        parts: the slices' values and the files' metadata, in any order.

    Raises:
        DamagedCheckpoint: if slices of an array overlap, leave a gap, or are of different shapes or dtypes.

    Ranks: local.
    """
    slices: dict[str, list[Slice]] = {}
    for arrays, metadata in parts:
        for name, values in arrays.items():
            where = json.loads(metadata[name])
            slices.setdefault(name, []).append(Slice(values, where["offset"], tuple(where["shape"])))
    return {name: _joined(name, pieces) for name, pieces in slices.items()}


def _joined(name: str, pieces: Sequence[Slice]) -> np.ndarray:
    shape, dtype = pieces[0].shape, pieces[0].values.dtype
    if any((piece.shape, piece.values.dtype) != (shape, dtype) for piece in pieces):
        raise DamagedCheckpoint(f"the parts of {name!r} are of different shapes or dtypes")
    whole = np.empty(shape, dtype)
    flat = whole.reshape(-1)
    reached = 0
    for piece in sorted(pieces, key=lambda piece: (piece.offset, piece.values.size)):
        if piece.values.size == 0:
            continue
        if piece.offset != reached:
            fault = "overlap" if piece.offset < reached else "leave a gap"
            raise DamagedCheckpoint(f"the parts of {name!r} {fault} at number {min(piece.offset, reached)}")
        reached = piece.offset + piece.values.size
        flat[piece.offset : reached] = piece.values
    if reached != flat.size:
        raise DamagedCheckpoint(f"the parts of {name!r} leave a gap at number {reached}")
    return whole


def _check(name: str, piece: Slice) -> None:
    if not name.startswith(tuple(f"{section}/" for section in SECTIONS)):
        raise ValueError(f"a slice's name begins with 'weights/' or 'optimizer/'. Received: {name!r}")
    size = int(np.prod(piece.shape))
    if piece.values.ndim != 1 or not 0 <= piece.offset <= piece.offset + piece.values.size <= size:
        raise ValueError(
            f"a slice of {name!r}, of {size} numbers, is flat and within it. Received: shape {piece.values.shape}"
            f" at {piece.offset}"
        )
