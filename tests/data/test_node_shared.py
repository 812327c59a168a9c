"""One copy of the data for the processes of a node: what they get, and what is left."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distfit import data

LOADER = """
import sys
import numpy as np
from distfit import data
def kilobytes():
    return [int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:")][0]
before = kilobytes()
def load():
    print("loads", flush=True)
    return np.full({megabytes} << 17, 3.0)
x = data.node_shared(load, name="of the test", folder={folder!r})
assert x[-1] == 3 and x.sum() == 3 * x.size
print("maps", flush=True)
sys.stdin.read(1)
print(kilobytes() - before, flush=True)
sys.stdin.read(1)
"""


@pytest.fixture(autouse=True)
def meeting_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path / f"distfit-node-shared-{os.getuid()}"
    tempfile.tempdir = None


def process(megabytes: int = 1, folder: str | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOADER.format(megabytes=megabytes, folder=folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def says(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    return one.stdout.readline().strip()


def goes_on(one: subprocess.Popen[str]) -> None:
    assert one.stdin is not None
    one.stdin.write("x")
    one.stdin.flush()


def ends(*processes: subprocess.Popen[str]) -> None:
    for one in processes:
        one.communicate()
        assert one.returncode == 0


@pytest.mark.parametrize(
    "tree",
    [
        np.arange(6.0),
        (np.arange(3), np.arange(4, dtype=np.uint8)),
        {"left": np.ones((2, 3), np.float32), "right": [np.zeros(0, np.int16), np.array(7)]},
        ((np.array(["a", "bcd"]), None), np.asfortranarray(np.arange(6).reshape(2, 3))),
    ],
    ids=["array", "tuple", "dict", "nested"],
)
def test_it_returns_what_load_returned(tree: Any) -> None:
    shared = data.node_shared(lambda: tree, name="tree")
    again = data.node_shared(lambda: pytest.fail("loaded twice"), name="tree")
    for one in (shared, again):
        np.testing.assert_equal(one, tree)
        assert type(one) is type(tree)


def test_nobody_can_change_what_all_see() -> None:
    x = data.node_shared(lambda: np.zeros(4), name="x")
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        x.flags.writeable = True


def test_another_name_is_another_data_set() -> None:
    x = data.node_shared(lambda: np.zeros(4), name="zeros")
    y = data.node_shared(lambda: np.ones(4), name="ones")
    assert x.sum() == 0
    assert y.sum() == 4


def test_an_error_in_load_is_raised_and_the_next_one_loads() -> None:
    with pytest.raises(FileNotFoundError):
        data.node_shared(lambda: np.load("nothing.npy"), name="x")
    assert data.node_shared(lambda: np.ones(3), name="x").sum() == 3


def test_python_objects_cannot_be_shared() -> None:
    with pytest.raises(TypeError, match=r"Python objects.*load\(\)\[1\]"):
        data.node_shared(lambda: (np.ones(3), np.array([{}, []], object)), name="x")


def test_what_is_dropped_is_free() -> None:
    x = data.node_shared(lambda: np.zeros(4), name="x")
    part = x[1:]
    del x
    assert data.node_shared(lambda: pytest.fail("loaded twice"), name="x").size == 4
    del part
    assert data.node_shared(lambda: np.ones(4), name="x").sum() == 4


@pytest.mark.parametrize("on_disk", [False, True])
def test_four_processes_load_once_and_hold_one_copy(on_disk: bool, tmp_path: Path) -> None:
    folder = str(tmp_path) if on_disk else None
    processes = [process(64, folder) for _ in range(4)]
    first = [says(one) for one in processes]
    assert sorted(first) == ["loads", "maps", "maps", "maps"]
    assert says(processes[first.index("loads")]) == "maps"
    for one in processes:
        goes_on(one)
    kilobytes = sum(int(says(one)) for one in processes)
    assert 0.5 < kilobytes / (64 * 1024) < 1.5  # less than one, since they came to share libraries, too
    for one in processes:
        goes_on(one)
    ends(*processes)


def test_one_that_was_killed_leaves_nothing_in_memory_and_the_next_one_loads(meeting_place: Path) -> None:
    before = sorted(os.listdir("/dev/shm"))
    killed = process(8)
    assert [says(killed), says(killed)] == ["loads", "maps"]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert sorted(os.listdir("/dev/shm")) == before
    assert sum(path.lstat().st_size for path in meeting_place.iterdir()) < 200  # a link, and a lock
    after = process(8)
    assert [says(after), says(after)] == ["loads", "maps"]
    goes_on(after)
    goes_on(after)
    ends(after)
    assert not [path for path in meeting_place.iterdir() if path.is_symlink()]


def test_what_a_process_of_the_same_number_holds_is_not_taken_for_the_data(
    meeting_place: Path, tmp_path: Path
) -> None:
    kept = data.node_shared(lambda: np.zeros(4), name="x")
    (link,) = (path for path in meeting_place.iterdir() if path.is_symlink())
    (tmp_path / "other").write_bytes(bytes(4096))
    link.unlink()
    link.symlink_to(tmp_path / "other")
    assert data.node_shared(lambda: np.ones(4), name="x").sum() == 4
    assert kept.sum() == 0


def test_who_waits_too_long_is_told_for_whom() -> None:
    def load() -> np.ndarray:
        with pytest.raises(TimeoutError, match=rf"process {os.getpid()} .*loading 'x' for 0.1 .*timeout="):
            data.node_shared(load, name="x", timeout=0.1)
        return np.ones(1)

    data.node_shared(load, name="x")
