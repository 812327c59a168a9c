"""Named arrays in one file: safetensors, or NumPy's npz. Nothing that could run code when it is read."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from distfit.checkpoint.atomic import write_atomically

_FORMATS = (".safetensors", ".npz")


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays, atomically.

    Args:
        path: ending in ``.safetensors`` or ``.npz``.
        arrays: by name.
        metadata: text by name; safetensors only.

    Raises:
        ValueError: for another ending.
        OSError: if the file cannot be written; what stood there before is still there.

    Ranks: local; one rank.

    Example:
        >>> import numpy as np, tempfile, pathlib
        >>> from distfit.checkpoint import read_arrays, write_arrays
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "some.safetensors"
        >>> write_arrays(path, {"a": np.arange(3)}, {"made by": "hand"})
        >>> arrays, metadata = read_arrays(path)
        >>> arrays["a"].tolist(), metadata
        ([0, 1, 2], {'made by': 'hand'})
    """
    check_format(path)
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}

    def write(unfinished: Path) -> None:
        if str(path).endswith(".npz"):
            with unfinished.open("wb") as file:
                np.savez(file, **contiguous)  # type: ignore[arg-type]
        else:
            # Of no arrays and empty metadata safetensors makes a file that it cannot read.
            safetensors.numpy.save_file(contiguous, unfinished, dict(metadata) if metadata else None)

    write_atomically(path, write)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read what `write_arrays` wrote.

    Returns:
        The arrays, and the metadata.

    Raises:
        ValueError: for another ending, or a file that is damaged.
        OSError: if it cannot be read.

    Ranks: local; one rank.
    """
    check_format(path)
    if str(path).endswith(".npz"):
        return _read_npz(path), {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is no safetensors file, or a damaged one: {error}") from error


def _read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    with Path(path).open("rb") as file:
        try:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.lib.npyio.NpzFile):
                return dict(content)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{os.fspath(path)} is no npz file, or a damaged one: {error}") from error
    raise ValueError(f"{os.fspath(path)} is no npz file: it holds one array without a name")


def check_format(path: str | os.PathLike[str]) -> None:
    """Raise for a file name with an ending that is not known.

    Raises:
        ValueError: naming the known ones.
    """
    if not str(path).endswith(_FORMATS):
        raise ValueError(
            f"a file of arrays ends in one of {', '.join(_FORMATS)}. Received: {os.fspath(path)}"
        )
