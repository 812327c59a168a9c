"""What a rank says last is read as a whole, whoever writes at the same time."""

import os
import subprocess
import sys

PROGRAM = """
import sys
from distfit.comm import whole_tracebacks
{before}
whole_tracebacks.install()
print("first", file=sys.stderr, end=" ")
raise OSError("no space left")
"""


def pieces(before: str = "") -> list[str]:
    """Return what a program wrote to its standard error, in the pieces in which it wrote it."""
    reading, writing = os.pipe2(os.O_DIRECT)  # each write is a packet of its own
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        stderr=writing,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    os.close(writing)
    process.wait(30)
    found = []
    while packet := os.read(reading, 65536):
        found.append(packet.decode())
    os.close(reading)
    return found


def test_a_traceback_is_one_piece() -> None:
    *before, last = pieces()
    assert "".join(before) == "first "
    assert last.startswith("Traceback (most recent call last):\n")
    assert last.endswith("OSError: no space left\n")


def test_a_hook_of_the_users_stays() -> None:
    written = pieces("sys.excepthook = lambda kind, error, trace: print('mine', error, file=sys.stderr)")
    assert "".join(written) == "first mine no space left\n"
