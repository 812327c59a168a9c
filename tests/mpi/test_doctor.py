"""The ranks of a job are examined together."""

from pathlib import Path

import numpy as np
import pytest

from distfit.comm import Communicator
from distfit.doctor import Facts, examine, report


def test_all_ranks_know_all(comm: Communicator) -> None:
    diagnosis = examine(comm)
    assert [one.rank for one in diagnosis.ranks] == list(range(comm.size))
    assert {one.versions["numpy"] for one in diagnosis.ranks} == {np.__version__}
    assert comm.all_gather_object(report(diagnosis)) == [report(diagnosis)] * comm.size
    assert all(seconds > 0 for seconds in diagnosis.measures.all_reduce.values())
    assert diagnosis.measures.clocks[0] == 0
    assert not [one for one in diagnosis.findings if one.severity == "wrong"]


def test_a_folder_that_all_see(comm: Communicator, tmp_path: Path) -> None:
    folder = Path(comm.broadcast_object(str(tmp_path)))
    measures = examine(comm, folder).measures
    assert (measures.folder, measures.blind) == (str(folder), [])
    assert list(folder.iterdir()) == []


@pytest.mark.ranks(2, 3, 4)
def test_a_folder_that_is_another_one_elsewhere(comm: Communicator, tmp_path: Path) -> None:
    diagnosis = examine(comm, tmp_path)  # each rank's own
    assert diagnosis.measures.blind == list(range(1, comm.size))
    assert not diagnosis.is_well
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_root_cannot_write_to_is_a_finding(comm: Communicator, tmp_path: Path) -> None:
    diagnosis = examine(comm, tmp_path / "missing")
    [found] = [one for one in diagnosis.findings if one.severity == "wrong"]
    assert "No such file or directory" in found.text


def test_what_fails_on_one_rank_is_an_error_on_all(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(comm: Communicator) -> Facts:
        raise OSError("no /proc")

    if comm.rank == comm.size - 1:
        monkeypatch.setattr(Facts, "here", unreadable)
    with pytest.raises(OSError, match="no /proc"):
        examine(comm)
    comm.barrier()
