"""Whole jobs of two ranks under `python -m distfit run`."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import run_mpi

LIMIT_S = 60

WORKING = """
import os, signal, sys, time
from pathlib import Path
from distfit.comm import Communicator, signals
from distfit.utils.activity import now
restart = int(os.environ["DISTFIT_RESTART"])
comm = Communicator.world()
comm.barrier()
now.step = 12
def say(word): os.write(1, f"{word}\\n".encode())  # in one piece: ranks share a pipe
"""


def environment(tmp_path: Path) -> dict[str, str]:
    """Return the supervisor's: what one that is killed leaves goes with the test's folder."""
    return run_mpi.environment() | {"TMPDIR": str(tmp_path)}


def command(tmp_path: Path, program: str, *options: str) -> list[str]:
    script = tmp_path / "train.py"
    script.write_text(program)
    return [sys.executable, "-m", "distfit", "run", "-n", "2", *options, str(script)]


def run(tmp_path: Path, program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program on two ranks to its end."""
    return subprocess.run(
        command(tmp_path, program, *options),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@contextmanager
def running(tmp_path: Path, program: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start one, and see to it that it does not outlive the block. The ranks stop when the folder has a file `go`."""
    with subprocess.Popen(
        command(tmp_path, program, *options),
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # and the ranks with it


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of the account at the end, without the seconds."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("distfit: ")]
    words = [line.removeprefix("distfit: ").split() for line in lines]
    start = next(i for i, line in enumerate(words) if line[:3] == ["attempt", "1", "of"])
    return [" ".join(word for word in line if not word.replace(".", "").isdigit()) for line in words[start:]]


def test_two_kills_are_survived_and_told_in_three_lines(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        WORKING + "say(f'rank {comm.rank} restart {restart}')\n"
        "if comm.rank == 1 and restart < 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "comm.barrier()\n",
        "--max-restarts",
        "2",
        "--log-dir",
        str(tmp_path / "logs"),
    )
    assert done.returncode == 0
    assert told(done) == [
        "attempt of failed after s: rank was killed by signal 9, SIGKILL",
        "attempt of failed after s: rank was killed by signal 9, SIGKILL",
        "attempt of ended after s, in order",
    ]
    # And at the time. Which rank it was, MPICH does not know for certain: it kills the other one the same way.
    assert len(re.findall(r"rank \d was killed by signal 9, SIGKILL; attempt", done.stderr)) == 2
    assert "starts in 0.25 s" in done.stderr
    logs = {
        path.relative_to(tmp_path / "logs"): path.read_text() for path in (tmp_path / "logs").rglob("*.log")
    }
    assert len(logs) == 6
    for (path, text), attempt, rank in zip(sorted(logs.items()), (1, 1, 2, 2, 3, 3), (0, 1) * 3, strict=True):
        assert str(path) == f"attempt-{attempt}/rank-{rank}.log"
        assert f"rank {rank} restart {attempt - 1}\n" in text
        assert f"rank {1 - rank} restart" not in text
    assert "rank 0 restart 2" in done.stdout
    assert "rank 1" not in done.stdout


def test_what_fails_twice_at_the_same_step_is_given_up(tmp_path: Path) -> None:
    done = run(
        tmp_path, WORKING + "if comm.rank: raise ValueError('bad')\ncomm.barrier()\n", "--max-restarts", "5"
    )
    assert done.returncode == 1
    assert told(done)[1:] == [
        "attempt of failed after s: rank raised ValueError: bad (step 12)",
        "it is not started again: it failed twice at the same step with the same error",
    ]
    assert (
        done.stderr.count("distfit: rank 1 on ") == 2
    )  # each rank's word, and its traceback, once an attempt
    assert done.stderr.count("    if comm.rank: raise ValueError('bad')\n") == 2


def test_a_status_of_the_programs_own_is_passed_on(tmp_path: Path) -> None:
    done = run(tmp_path, WORKING + "sys.exit(85)", "--max-restarts", "2")
    assert done.returncode == 85
    assert "attempt" not in done.stderr


def test_a_program_without_distfit_has_its_status_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "import os; os.write(1, f'hello {os.environ[\"PMI_SIZE\"]}\\n'.encode())")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "hello 2\n" * 2
    assert run(tmp_path, "raise SystemExit(7)").returncode == 7


def test_success_without_roots_marker_is_none(tmp_path: Path) -> None:
    done = run(tmp_path, WORKING + "os._exit(0)")  # on all ranks: to mpiexec a success
    assert done.returncode != 0
    assert "distfit: the job failed" in done.stderr


def test_ranks_that_closed_their_group_have_nothing_to_leave(tmp_path: Path) -> None:
    done = run(tmp_path, WORKING + "comm.close(); say('closed')")
    assert (done.returncode, done.stdout) == (0, "closed\n" * 2)


def test_a_users_marker_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTFIT_COMPLETION_MARKER", str(tmp_path / "done"))
    assert run(tmp_path, "raise SystemExit(3)").returncode == 3
    assert not (tmp_path / "done").exists()
    assert run(tmp_path, WORKING).returncode == 0
    assert (tmp_path / "done").exists()


def ends(pid: int) -> bool:
    """Say whether a process ends, or has ended, within the limit."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], LIMIT_S)[0])
    finally:
        os.close(process)


# Each rank says that it is there, and takes its handlers only when it is told to.
STOPPING = (
    WORKING
    + """
say("here")
while not Path("go").exists(): time.sleep(0.01)
with signals.deferred():
    say("ready")
    while not signals.stop_requested(): time.sleep(0.01)
    signals.heed_stop()
    comm.barrier()
comm.print("saved")
sys.exit(85)
"""
)


def until(process: subprocess.Popen[str], word: str) -> None:
    """Read what it prints until both ranks have printed a word."""
    assert process.stdout
    missing = 2
    while missing:
        line = process.stdout.readline()
        assert line, "it ended before"
        missing -= line.strip() == word


def test_a_request_to_save_waits_for_the_ranks_handlers(tmp_path: Path) -> None:
    with running(tmp_path, STOPPING, "--max-restarts", "2") as process:
        until(process, "here")
        process.send_signal(signal.SIGUSR1)  # no rank has a handler
        (tmp_path / "go").touch()
        output, _ = process.communicate(timeout=LIMIT_S)
    assert "saved" in output
    assert process.returncode == 85


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_is_passed_on(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "go").touch()
    with running(tmp_path, STOPPING, "--max-restarts", "2") as process:
        until(process, "ready")
        process.send_signal(number)
        output, _ = process.communicate(timeout=LIMIT_S)
    assert "saved" in output
    assert process.returncode == 85


def test_who_is_asked_to_end_does_not_start_again(tmp_path: Path) -> None:
    with running(tmp_path, WORKING + "say('here'); time.sleep(60)", "--max-restarts", "2") as process:
        until(process, "here")
        process.send_signal(signal.SIGTERM)  # the ranks have no handler: they are killed
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == signal.SIGTERM
    assert "attempt 1 of 3 failed" in output
    assert "asked to by SIGTERM" in output
    assert "attempt 2" not in output


def test_nothing_outlives_the_supervisor(tmp_path: Path) -> None:
    program = WORKING + (
        "Path(f'{comm.rank}.pid').write_text(f'{os.getpid()}')\nsay('here')\ntime.sleep(60)\n"
    )
    with running(tmp_path, program) as process:
        until(process, "here")
        ranks = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
        process.kill()
        assert len(ranks) == 2
        assert all(map(ends, ranks))


def test_shared_memory_of_killed_ranks_is_removed(tmp_path: Path) -> None:
    """Without distfit, which takes its name away early. USR1 comes only after the supervisor has looked."""
    program = """
import os, signal, time
from pathlib import Path
from mpi4py import MPI
MPI.COMM_WORLD.Barrier()
if MPI.COMM_WORLD.rank == 0:
    lines = Path("/proc/self/maps").read_text().splitlines()
    Path("segments").write_text("\\n".join({line.split()[-1] for line in lines if "mpich_shm" in line}))
MPI.COMM_WORLD.Barrier()
signal.signal(signal.SIGUSR1, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
os.write(1, b"here\\n")
time.sleep(60)
"""
    with running(tmp_path, program) as process:
        until(process, "here")
        segments = [Path(line) for line in (tmp_path / "segments").read_text().splitlines()]
        assert segments
        assert all(segment.exists() for segment in segments)
        process.send_signal(signal.SIGUSR1)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == signal.SIGKILL
    assert not any(segment.exists() for segment in segments)


def test_what_ranks_started_ends_with_them(tmp_path: Path) -> None:
    program = (
        "import subprocess\nfrom pathlib import Path\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=subprocess.DEVNULL)\n"
        f"Path({str(tmp_path)!r}, f'{{child.pid}}.pid').touch()\n"
    )
    assert run(tmp_path, program).returncode == 0
    children = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(children) == 2
    assert all(map(ends, children))
