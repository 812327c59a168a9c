"""The IDX format, from bytes that were written by hand."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from distfit.datasets.idx import read_idx

# Two rows of three 16-bit integers, byte by byte as the format's description has them.
SHORTS = bytes.fromhex("00000b02 00000002 00000003 0001 0002 0003 ff00 0100 7fff")
BYTES = bytes.fromhex("00000801 00000004 00 01 80 ff")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some-idx.gz"


def test_bytes(file: Path) -> None:
    file.write_bytes(gzip.compress(BYTES))
    array = read_idx(file)
    assert array.dtype == np.uint8
    assert array.tolist() == [0, 1, 128, 255]


def test_big_endian_numbers_become_the_machines_own(file: Path) -> None:
    file.write_bytes(gzip.compress(SHORTS))
    array = read_idx(file)
    assert array.dtype == np.dtype("=i2")
    assert array.dtype.isnative
    assert array.tolist() == [[1, 2, 3], [-256, 256, 32767]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(SHORTS)[:-9], "not a whole gzip file"),
        (SHORTS, "not a whole gzip file"),
        (gzip.compress(b"PK\x03\x04 a zip file"), "no IDX file.*Received: 50 4b 03 04"),
        (gzip.compress(SHORTS[:-1]), "should hold 24 bytes.*Received: 23"),
        (gzip.compress(SHORTS + b"\0"), "should hold 24 bytes.*Received: 25"),
        (gzip.compress(SHORTS[:6]), "should hold .* bytes"),
        (gzip.compress(b""), "no IDX file"),
    ],
)
def test_what_is_no_whole_file_is_refused(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(file)
