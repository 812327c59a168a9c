"""The IDX format, in which MNIST and its relatives come.

A file is two zero bytes, a byte for the type of number, a byte for the number of dimensions, each
dimension's length as a big-endian 32-bit integer, and the numbers in C order (LeCun, Cortes & Burges, "The
MNIST database", 1998).
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """Return the array in a gzip-compressed IDX file, in this machine's byte order.

    Raises:
        ValueError: if the file is no such file, or is cut off.

    Ranks: local.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError(
            f"{path} is no IDX file: these begin with 00 00 and a type. Received: {content[:4].hex(' ')}"
        )
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:header]) if len(content) >= header else ()
    dtype = np.dtype(_TYPES[content[2]])
    expected = header + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(content) != expected:
        raise ValueError(f"{path} should hold {expected} bytes by its header. Received: {len(content)}")
    return np.frombuffer(content, dtype, offset=header).reshape(shape).astype(dtype.newbyteorder("="))
