"""What a supervisor leaves that was killed goes at the next start; a living one's stays."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from distfit.launchers.job_folder import job_folder, remove_abandoned
from distfit.launchers.segments import segments

SUPERVISOR = """
import sys
from pathlib import Path
from distfit.launchers.job_folder import job_folder
with job_folder() as folder:
    segment = Path(sys.argv[1], "mpich_shm_1_0")
    segment.touch()
    (folder / "segments").write_text(f"{segment.stat().st_ino} {segment}\\n")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in shared memory's place, beside one for temporary files."""
    for name in ("shared", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "shared"


def test_a_folder_goes_with_its_job(shared: Path) -> None:
    with job_folder() as folder:
        assert folder.parent == Path(tempfile.gettempdir())
        (folder / "rank-0.began").touch()
    assert not folder.exists()


def test_what_a_killed_supervisor_left_goes_at_the_next_start(shared: Path) -> None:
    other = shared / "mpich_shm_2_0"
    other.touch()
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, shared],
        env=os.environ | {"TMPDIR": tempfile.gettempdir()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        assert supervisor.stdout
        folder = Path(supervisor.stdout.readline().strip())
        remove_abandoned(shared)
        assert folder.exists()  # it lives
        assert len(segments(shared)) == 2
        supervisor.kill()
    remove_abandoned(shared)
    assert not folder.exists()
    assert [segment.path for segment in segments(shared)] == [other]


def test_folders_of_others_stay(shared: Path) -> None:
    folder = Path(tempfile.gettempdir(), "distfit-data")
    folder.mkdir()
    (folder / "x.npy").touch()
    with job_folder() as own:
        remove_abandoned(shared)
        assert own.exists()
    assert folder.exists()
