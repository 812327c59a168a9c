"""Names of MPICH's segments go; what else is mapped, and what cannot be removed, stays."""

from pathlib import Path

import pytest

from distfit.comm import shared_memory


def test_names_of_segments_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment, other, maps = tmp_path / "mpich_shm_1_0", tmp_path / "data.npy", tmp_path / "maps"
    segment.touch()
    other.touch()
    address = "7f00-7f10 rw-s 00000000 00:1b 12  "
    gone = f"{tmp_path}/mpich_shm_2_0 (deleted)"
    lines = [str(segment), str(segment), str(other), gone, "[heap]"]
    maps.write_text("".join(f"{address}{line}\n" for line in lines) + "7f20-7f30 rw-p 00000000 00:00 0\n")
    monkeypatch.setattr(shared_memory, "_MAPS", maps)
    monkeypatch.setattr(shared_memory, "_SEGMENT", f"{tmp_path}/mpich_shm_")
    shared_memory.forget_names()
    assert not segment.exists()
    assert other.exists()
    shared_memory.forget_names()  # once more: nothing is there to remove


def test_nothing_is_done_where_there_is_no_list_of_what_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "_MAPS", tmp_path / "missing")
    shared_memory.forget_names()
