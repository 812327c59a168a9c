"""The watchdog, from outside: whole jobs in which a rank is stopped, runs for ever, or only takes its time."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from run_mpi import environment, mpiexec

from distfit.comm import EXIT_STALLED

# MPICH's mpiexec now and then tells the status of a rank that it killed then itself.
ENDED = (EXIT_STALLED, signal.SIGKILL)

PROGRAM = """
import os, signal, sys, time
import numpy as np
from distfit import Sequential, callbacks, layers
model = Sequential([layers.Dense(4, activation="tanh", input_shape=(2,)), layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
x, y = np.ones((12, 2)), np.ones((12, 1))
rank = model.comm.rank
open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
"""


def job(
    tmp_path: Path, body: str, ranks: int = 3, warn_after: float = 2, timeout: float = 6
) -> tuple[int, str]:
    """Return the status of a job, and what its ranks said."""
    script, started = tmp_path / "train.py", tmp_path / "started"
    script.write_text(PROGRAM + textwrap.dedent(body))
    started.mkdir()
    process = subprocess.Popen(
        [mpiexec(), "-n", str(ranks), sys.executable, str(script), str(started)],
        env=environment() | {"DISTFIT_WARN_AFTER": str(warn_after), "DISTFIT_TIMEOUT": str(timeout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    processes = [path.name for path in started.iterdir()]
    assert len(processes) == ranks
    assert [number for number in processes if Path("/proc", number).exists()] == []
    assert list(Path("/dev/shm").glob("distfit*")) == []
    return process.returncode, output


def line_of(tmp_path: Path, text: str) -> str:
    """Return ``train.py:line`` of a line of the program."""
    lines = (tmp_path / "train.py").read_text().splitlines()
    return f"train.py:{next(n for n, line in enumerate(lines, 1) if text in line)}"


def test_a_stopped_rank_is_named_and_the_job_ends(tmp_path: Path) -> None:
    body = """
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if rank == 1 and epoch == 1:
                os.kill(os.getpid(), signal.SIGSTOP)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[Stop()])
    """
    status, output = job(tmp_path, body)
    assert status in ENDED
    assert "rank 1 on " in output
    assert "gives no sign of life" in output
    for rank in (0, 2):
        said = [line for line in output.splitlines() if line.startswith(f"distfit: rank {rank} on ")]
        assert "has waited for 2 s: it has run on_epoch_end, at " in said[0]
        assert line_of(tmp_path, "model.fit") in said[0]
    assert "gives up after 6 s (DISTFIT_TIMEOUT), and ends the job with status 75" in output


def test_an_endless_loop_in_a_hook_shows_where_it_is(tmp_path: Path) -> None:
    body = """
    class Busy(callbacks.Callback):
        ranks = "root"
        def on_epoch_end(self, epoch, logs=None):
            while True:
                time.sleep(0.01)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[Busy()])
    """
    status, output = job(tmp_path, body, ranks=2)
    assert status in ENDED
    assert "waited for 2 s for rank 0 on " in output
    assert "which runs Busy.on_epoch_end, at " in output
    where = line_of(tmp_path, "time.sleep")
    assert where in output
    assert f'train.py", line {where.partition(":")[2]}, in on_epoch_end' in output  # its stack


def test_an_endless_read_shows_where_it_is(tmp_path: Path) -> None:
    body = """
    class Rows:
        shape, dtype = x.shape, x.dtype
        def __len__(self):
            return len(x)
        def __getitem__(self, rows):
            while rank == 1 and np.size(rows) == 2 and model.progress.step == 2:
                time.sleep(0.01)
            return x[rows]
    model.fit(Rows(), y, batch_size=6, epochs=2, verbose=0)
    """
    status, output = job(tmp_path, body)
    assert status in ENDED
    assert "it ends a step of training, at " in output
    assert "which reads a batch, at " in output
    assert "in __getitem__" in output


def test_a_rank_that_works_for_long_keeps_nobody_waiting_without_reason(tmp_path: Path) -> None:
    body = """
    class Evaluate(callbacks.Callback):
        ranks = "root"
        def on_epoch_end(self, epoch, logs=None):
            began = time.monotonic()
            while time.monotonic() - began < 8:
                self.model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=1, verbose=0, callbacks=[Evaluate()])
    """
    status, output = job(tmp_path, body)
    assert status == 0
    assert "distfit: rank" not in output
    assert "waited" not in output


def test_one_rank_has_no_watchdog(tmp_path: Path) -> None:
    body = """
    import threading
    model.fit(x, y, epochs=2, verbose=0)
    print([thread.name for thread in threading.enumerate()])
    """
    status, output = job(tmp_path, body, ranks=1)
    assert status == 0
    assert "distfit-watchdog" not in output
    assert "MainThread" in output
