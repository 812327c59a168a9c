"""Files that are whole or absent, and files of arrays."""

import os
import signal
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from distfit.checkpoint import read_arrays, write_arrays, write_atomically

ENDINGS = ["safetensors", "npz"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, lambda unfinished: unfinished.write_text("old"))

    def fail(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_process_that_dies_while_it_writes_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    child = os.fork()
    if child == 0:

        def die(unfinished: Path) -> None:
            unfinished.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

        write_atomically(path, die)
    os.waitpid(child, 0)
    assert path.read_text() == "old"
    write_atomically(tmp_path / "other", lambda unfinished: unfinished.write_text("new"))
    assert sorted(os.listdir(tmp_path)) == ["file", "other"]  # what was left is gone


def test_what_a_process_is_at_work_on_stays(tmp_path: Path) -> None:
    def write(unfinished: Path) -> None:
        unfinished.write_text("half")
        write_atomically(tmp_path / "other", lambda other: other.write_text("whole"))

    write_atomically(tmp_path / "file", write)
    assert (tmp_path / "file").read_text() == "half"


def test_folders_are_made_and_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "some" / "folder" / "weights.safetensors"
    before = os.umask(0o022)
    try:
        write_arrays(path, {"a": np.zeros(2)})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


NAMES = st.text("abcdefgh/_0123456789", min_size=1, max_size=20).filter(
    lambda name: not name.startswith("/") and "//" not in name and not name.endswith("/")
)
ARRAYS = arrays_of.arrays(
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]),
    arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@pytest.mark.parametrize("ending", ENDINGS)
@given(content=st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_arrays_come_back(ending: str, tmp_path_factory: Any, content: dict[str, np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("arrays") / f"file.{ending}"
    write_arrays(path, content)
    read, _ = read_arrays(path)
    assert read.keys() == content.keys()
    for name, array in content.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("ending", ENDINGS)
def test_views_are_written_as_what_they_show(tmp_path: Path, ending: str) -> None:
    array = np.arange(12.0).reshape(3, 4)
    write_arrays(tmp_path / f"a.{ending}", {"t": array.T, "part": array[::2, 1:3]})
    read, _ = read_arrays(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(read["t"], array.T)
    np.testing.assert_array_equal(read["part"], array[::2, 1:3])


def test_files_are_those_that_other_programs_read(tmp_path: Path) -> None:
    content = {"dense/kernel": np.arange(6.0).reshape(2, 3)}
    write_arrays(tmp_path / "a.safetensors", content, {"note": "by hand"})
    write_arrays(tmp_path / "a.npz", content)
    others = [safetensors.numpy.load_file(tmp_path / "a.safetensors"), dict(np.load(tmp_path / "a.npz"))]
    for read in others:
        np.testing.assert_array_equal(read["dense/kernel"], content["dense/kernel"])
    assert read_arrays(tmp_path / "a.safetensors")[1] == {"note": "by hand"}


def test_other_endings_are_errors_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("weights.h5", "weights", "weights.npz.bak"):
        with pytest.raises(ValueError, match=r"ends in one of \.safetensors, \.npz\. Received: .*weights"):
            write_arrays(tmp_path / name, {"a": np.zeros(1)})
        with pytest.raises(ValueError, match="ends in one of"):
            read_arrays(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "array"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, ending: str, damage: str) -> None:
    path = tmp_path / f"weights.{ending}"
    write_arrays(path, {"a": np.arange(1000.0)})
    whole = path.read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    damaged = {
        "cut": whole[: len(whole) // 2],
        "garbage": bytes(range(100)),
        "empty": b"",
        "array": (tmp_path / "array.npy").read_bytes(),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=f"weights.{ending}"):
        read_arrays(path)


def test_a_file_that_would_run_code_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", objects=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match=r"objects\.npz is no npz file"):
        read_arrays(tmp_path / "objects.npz")
