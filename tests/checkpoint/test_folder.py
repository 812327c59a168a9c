"""A checkpoint comes back as it was written, and no damage to it goes unseen."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from distfit.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    NewerCheckpoint,
    Slice,
    Store,
    files,
    load,
    verify,
    write_checkpoint,
    write_part,
)

WEIGHTS = {
    "dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "dense/bias": np.zeros(3, np.float32),
}
OPTIMIZER = {"adam/dense/kernel/m": np.full((2, 3), 0.5)}
STATE = {"epoch": 2, "step": 17, "logs": {"loss": 0.1}, "best": np.array([1, 2], np.int64)}
NAMES = ["SHA256SUMS", "optimizer.safetensors", "state.json", "state.safetensors", "weights.safetensors"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "checkpoint"
    write_checkpoint(path, Checkpoint(WEIGHTS, OPTIMIZER, STATE))
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_it_comes_back(path: Path) -> None:
    found = load(path)
    for read, wrote in ((found.weights, WEIGHTS), (found.optimizer, OPTIMIZER)):
        assert list(read) == list(wrote)
        for name in wrote:
            np.testing.assert_array_equal(read[name], wrote[name], strict=True)
    np.testing.assert_array_equal(found.state["best"], STATE["best"], strict=True)
    assert {name: found.state[name] for name in ("epoch", "step", "logs")} == {
        "epoch": 2, "step": 17, "logs": {"loss": 0.1},
    }  # fmt: skip
    assert verify(path) == []


def test_others_read_it(path: Path) -> None:
    assert names(path) == NAMES
    np.testing.assert_array_equal(
        safetensors.numpy.load_file(path / "weights.safetensors")["dense/kernel"], WEIGHTS["dense/kernel"]
    )
    document = json.loads((path / "state.json").read_text())
    assert (document["format"], document["version"]) == ("distfit checkpoint", 1)
    assert document["state"]["best"] == {"__array__": "best"}
    assert set(document["libraries"]) == {"python", "distfit", "numpy", "mpi4py", "safetensors"}
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=path, check=True, capture_output=True
    )
    assert checked.stdout.count(b": OK\n") == 4


def test_an_empty_one_comes_back(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "empty", Checkpoint())
    assert load(tmp_path / "empty") == Checkpoint({}, {}, {})


def test_it_is_never_overwritten(path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"is there already\. Give another path, or remove it"):
        write_checkpoint(path, Checkpoint())
    assert load(path).state["epoch"] == 2


@pytest.mark.parametrize(("mask", "folder", "file"), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600)])
def test_permissions_are_what_the_umask_leaves(tmp_path: Path, mask: int, folder: int, file: int) -> None:
    before = os.umask(mask)
    try:
        write_checkpoint(tmp_path / "some" / "where", Checkpoint())
    finally:
        os.umask(before)
    path = tmp_path / "some" / "where"
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in (path, path.parent)} == {folder}
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.iterdir()} == {file}


def test_what_has_no_form_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Received: set at seen"):
        write_checkpoint(tmp_path / "checkpoint", Checkpoint(WEIGHTS, {}, {"seen": {1}}))
    assert names(tmp_path) == []


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "sync", interrupt)
    (tmp_path / "run").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / "run" / "checkpoint", Checkpoint())
    assert names(tmp_path / "run") == []


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        write_checkpoint(tmp_path / "file" / "checkpoint", Checkpoint())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        write_checkpoint(tmp_path / "checkpoint", Checkpoint())


def test_no_checkpoint_is_an_error_of_its_own(tmp_path: Path) -> None:
    for read in (load, verify):
        with pytest.raises(FileNotFoundError, match=r"there is no checkpoint: '.*/nowhere'"):
            read(tmp_path / "nowhere")


# -- damage --------------------------------------------------------------------------------------------------------


def assert_damaged(path: Path, words: str = "") -> None:
    problems = verify(path)
    assert problems
    assert words in "; ".join(problems)
    with pytest.raises(DamagedCheckpoint) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)


@pytest.fixture
def in_parts(tmp_path: Path) -> Path:
    """A checkpoint with each kind of file that there is."""
    store = Store(tmp_path / "series")
    folder = store.begin()
    for part in (0, 1):
        write_part(folder, part, 2, {"weights/w": Slice(np.array([part], np.int8), part, (2,))})
    return store.commit(folder, Checkpoint({"b": np.ones(1)}, {}, STATE))


@pytest.mark.parametrize(
    "name", [*NAMES, "part-00000-of-00002.safetensors", "part-00001-of-00002.safetensors"]
)
@pytest.mark.parametrize("bits", [0b1, 0b100000, 0b11111111])
def test_a_flipped_byte_anywhere_is_found(in_parts: Path, name: str, bits: int) -> None:
    file = in_parts / name
    whole = file.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= bits
        file.write_bytes(damaged)
        assert verify(in_parts), position
        with pytest.raises(DamagedCheckpoint):
            load(in_parts)
    file.write_bytes(whole)
    assert verify(in_parts) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_off_or_longer_is_found(path: Path, name: str) -> None:
    whole = (path / name).read_bytes()
    for content in [
        *(whole[:length] for length in range(len(whole))),
        whole + b"\0",
        whole + b"\n",
        whole + whole,
    ]:
        (path / name).write_bytes(content)
        assert_damaged(path, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_found(path: Path, name: str) -> None:
    (path / name).unlink()
    assert_damaged(path, f"{name} is missing")


def test_a_file_that_is_none_of_it_is_found_but_not_a_hidden_one(path: Path) -> None:
    (path / ".state.json.swp").touch()
    assert verify(path) == []
    (path / "notes.txt").touch()
    assert_damaged(path, "notes.txt is not listed in SHA256SUMS")


def test_a_folder_in_a_files_place_is_found(path: Path) -> None:
    (path / "state.json").unlink()
    (path / "state.json").mkdir()
    assert_damaged(path, "state.json cannot be read")


def rewrite(path: Path, name: str, content: bytes | None) -> None:
    """Change a file, or remove it, and write its digest anew, as somebody might by hand."""
    if content is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(content)
    present = sorted(set(names(path)) - {"SHA256SUMS"})
    digests = subprocess.run(["sha256sum", *present], cwd=path, check=True, capture_output=True)
    (path / "SHA256SUMS").write_bytes(digests.stdout)


def test_changes_by_hand_are_fine_where_the_digests_are_written_anew(path: Path) -> None:
    rewrite(path, "state.json", (path / "state.json").read_bytes().replace(b'"epoch": 2', b'"epoch": 7'))
    assert load(path).state["epoch"] == 7


DOCUMENT = {
    "format": "distfit checkpoint",
    "version": 1,
    "created": "2026-01-01T00:00:00+00:00",
    "libraries": {},
    "state": {},
}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**DOCUMENT, "format": "another"}, "its format is 'another'"),
        ({**DOCUMENT, "created": "yesterday"}, "no state of a checkpoint"),
        ({**DOCUMENT, "state": {"a": float("nan")}}, "NaN is not JSON"),
        ({**DOCUMENT, "state": {"a": {"__array__": "gone"}}}, "gone"),
        ([], "no state of a checkpoint"),
    ],
)
def test_whole_files_of_somebody_else_are_an_error(path: Path, document: Any, words: str) -> None:
    rewrite(path, "state.json", json.dumps(document).encode())
    with pytest.raises(DamagedCheckpoint, match=words):
        load(path)


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "optimizer.safetensors", "state.safetensors", "state.json"]
)
def test_a_file_that_the_digests_do_not_ask_for_is_asked_for_by_the_format(path: Path, name: str) -> None:
    rewrite(path, name, None)
    assert_damaged(path, f"{name} is missing")


def test_a_part_that_the_digests_do_not_ask_for_is_asked_for_by_the_others(in_parts: Path) -> None:
    rewrite(in_parts, "part-00000-of-00002.safetensors", None)
    assert_damaged(in_parts, "of 2 parts some are missing: 0")


def test_a_later_format_is_an_error_with_a_remedy(path: Path) -> None:
    document = json.loads((path / "state.json").read_text())
    rewrite(
        path, "state.json", json.dumps({**document, "version": 2, "libraries": {"distfit": "9.1"}}).encode()
    )
    (path / "weights.safetensors").rename(path / "weights.zarr")
    shutil.copy(path / "state.json", path / "more.json")
    rewrite(path, "state.json", (path / "state.json").read_bytes())
    with pytest.raises(
        NewerCheckpoint, match=r"of format 2, which distfit 9\.1 wrote.*up to 1: install that version"
    ):
        load(path)
    assert "of format 2" in verify(path)[0]
