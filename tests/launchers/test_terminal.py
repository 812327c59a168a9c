"""What a person sees who starts a job at a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import run_mpi

TRAINING = """
import os, sys
import numpy as np
from distfit import Sequential, layers
if os.environ["PMI_RANK"] == "0":
    print("terminal", *os.get_terminal_size(sys.stdout.fileno()))
else:
    print("terminal", sys.stdout.isatty())
model = Sequential([layers.Dense(1, input_shape=(2,))])
model.compile(optimizer="sgd", loss="mse")
model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=4)
"""


def test_root_shows_a_progress_bar_on_a_terminal_that_the_supervisor_has(tmp_path: Path) -> None:
    script, logs = tmp_path / "train.py", tmp_path / "logs"
    script.write_text(TRAINING)
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 111, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "distfit", "run", "-n", "2", "--log-dir", str(logs), str(script)],
        env=run_mpi.environment(),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        seen = _all_of(screen)
    assert process.returncode == 0
    assert "terminal 111 30\r\n" in seen
    assert "Epoch 1/1:   0%|" in seen
    assert "Epoch 1/1 - " in seen
    assert "terminal False" not in seen
    log = (logs / "rank-0.log").read_text()
    assert "Epoch 1/1 - " in log
    assert (logs / "rank-1.log").read_text() == "terminal False\n"


def _all_of(screen: int) -> str:
    pieces = []
    try:
        while piece := os.read(screen, 4096):
            pieces.append(piece)
    except OSError:  # all have closed their end
        pass
    os.close(screen)
    return b"".join(pieces).decode()
