"""Promise 4, from outside: whole jobs in which a rank leaves, fails or goes elsewhere end, with a clear message."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from run_mpi import environment, mpiexec

LIMIT_S = 30  # most of it is starting Python on a busy machine

PROGRAM = """
import sys
import numpy as np
from distfit import Sequential, callbacks, layers, utils
utils.set_random_seed(1)
model = Sequential([layers.Dense(4, activation="tanh", input_shape=(2,)), layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
x, y = np.ones((12, 2)), np.ones((12, 1))
rank = model.comm.rank
"""


def job(tmp_path: Path, body: str, ranks: int = 3, **variables: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM + textwrap.dedent(body))
    return launch(script, ranks, **variables)


def launch(
    script: Path, ranks: int = 3, runner: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [mpiexec(), "-n", str(ranks), sys.executable, *runner, str(script)],
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
    )


def test_a_job_that_ends_in_order(tmp_path: Path) -> None:
    ended = job(tmp_path, "model.fit(x, y, verbose=0); model.comm.print('done')")
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "done", "")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rank_that_exits_while_the_others_train(tmp_path: Path, when: str) -> None:
    train = "model.fit(x, y, verbose=0)"
    ended = job(tmp_path, f"{train if when == 'after' else ''}\nif rank == 1: sys.exit(3)\n{train}")
    assert ended.returncode != 0
    assert ended.stderr.count("RankLeft: rank 1 left the program") == 2  # on ranks 0 and 2
    assert "train.py:" in ended.stderr


def test_a_rank_that_fails_outside_fit(tmp_path: Path) -> None:
    ended = job(tmp_path, "if rank == 2: raise OSError('no space left')\nmodel.fit(x, y, verbose=0)")
    assert ended.returncode != 0
    assert "OSError: no space left" in ended.stderr
    assert "rank 2 leaves the program after OSError" in ended.stderr


@pytest.mark.parametrize("end", ["raise OSError('no data')", "sys.exit(3)", "sys.exit(0)"])
def test_a_rank_that_ends_before_it_ever_worked_with_the_others(tmp_path: Path, end: str) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys\nfrom distfit import Sequential, layers\n"
        f"if os.environ['PMI_RANK'] == '2': {end}\n"
        "model = Sequential([layers.Dense(1, input_shape=(2,))]); model.compile(loss='mse')\n"
        "model.fit([[1.0, 2.0]], [[1.0]], verbose=0)\n"
    )
    ended = launch(script)
    assert ended.returncode != 0
    assert "RankLeft: rank 2 left the program" in ended.stderr


def test_an_evaluation_under_if_rank_is_zero(tmp_path: Path) -> None:
    ended = job(tmp_path, "model.fit(x, y, verbose=0)\nif rank == 0: model.evaluate(x, y, verbose=0)")
    assert ended.returncode != 0
    assert "ranks 1, 2 left the program" in ended.stderr
    assert "rank 0 begins evaluate, at" in ended.stderr


def test_system_exit_within_fit(tmp_path: Path) -> None:
    body = """
    class Leave(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if rank == 1:
                sys.exit(3)
    model.fit(x, y, verbose=0, callbacks=[Leave()])
    """
    assert job(tmp_path, body).returncode == 3


def test_an_error_within_fit_ends_the_job_with_its_traceback(tmp_path: Path) -> None:
    body = """
    class Fail(callbacks.Callback):
        ranks = "root"
        def on_epoch_end(self, epoch, logs=None):
            raise ValueError("bad metric")
    model.fit(x, y, verbose=0, callbacks=[Fail()])
    """
    ended = job(tmp_path, body)
    assert ended.returncode != 0
    assert "ValueError: bad metric" in ended.stderr
    assert "raised on rank 0" in ended.stderr


def test_a_missing_mpi_library_under_a_launcher(tmp_path: Path) -> None:
    body = "raise SystemExit('a lonely training')"
    blocked = tmp_path / "mpi4py"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ImportError('libmpi.so: cannot open shared object file')")
    ended = job(
        tmp_path, body, ranks=2, PYTHONPATH=os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    )
    assert ended.returncode != 0
    assert "pip install 'distfit-mpi[mpich]'" in ended.stderr
    assert "a lonely training" not in ended.stderr


def test_a_launcher_of_another_mpi(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, str(script)],
        env=environment() | {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert ended.returncode != 0
    assert "the launcher started 2 processes, but MPI's world has 1" in ended.stderr


@pytest.mark.parametrize(
    "body",
    [
        "if rank == 1: raise OSError('no space left')\nmodel.fit(x, y, verbose=0)",
        "model.fit(x, y, verbose=0)\nif rank == 1: raise OSError('no space left')",
    ],
)
def test_an_error_under_the_runner_of_mpi4py(tmp_path: Path, body: str) -> None:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM + body)
    ended = launch(script, runner=("-m", "mpi4py"))
    assert ended.returncode != 0
    assert ended.stderr.count("\nOSError: no space left") == 1
    assert "train.py" in ended.stderr


def test_a_job_that_ends_in_order_under_the_runner_of_mpi4py(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM + "model.fit(x, y, verbose=0); model.comm.print('done')")
    ended = launch(script, runner=("-m", "mpi4py"))
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "done", "")


def test_an_error_in_a_thread_of_distfits_own_ends_the_job(tmp_path: Path) -> None:
    body = """
    from distfit.comm import watchdog
    model.fit(x, y, verbose=0)  # from here on there is one
    if rank == 1:
        watchdog.whereabouts = lambda: 1 / 0
    model.fit(x, y, verbose=0, epochs=10**9)
    """
    ended = job(tmp_path, body)
    assert ended.returncode != 0
    assert "ZeroDivisionError" in ended.stderr
    assert "the thread distfit-watchdog failed, and the process ends with it" in ended.stderr


def test_an_error_in_a_thread_of_the_users_own_is_left_to_python(tmp_path: Path) -> None:
    body = """
    import threading
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start(), thread.join()
    model.fit(x, y, verbose=0); model.comm.print('done')
    """
    ended = job(tmp_path, body)
    assert (ended.returncode, ended.stdout.strip()) == (0, "done")
    assert "ZeroDivisionError" in ended.stderr
