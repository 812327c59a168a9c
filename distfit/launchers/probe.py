"""What the supervisor asks a host before it starts ranks there, and from which it takes the records afterwards.

It is sent to the host's Python as text, by ssh, since nothing is known of that host yet; so it needs nothing but Python
itself. The answer is JSON.
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from typing import Any

_MADE_HERE = "made-for-another-machine"
_PATIENCE_S = 9.0  # less than the supervisor has


def describe(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a job would find here.

    Args:
        asked: ``environment``, of the ranks; ``paths``, that they need; ``folder``, of the job's records, which is made
            where it is not there; ``home``, the name by which this host has to reach the supervisor's, or
            None.

    Ranks: local; a process of its own on each host, which is no rank.
    """
    if not os.path.isdir(asked["folder"]):
        os.makedirs(asked["folder"], mode=0o700, exist_ok=True)
        with open(os.path.join(asked["folder"], _MADE_HERE), "w", encoding="ascii"):
            pass
    return {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "mpi": _library({**os.environ, **asked["environment"]}),
        "missing": [path for path in asked["paths"] if not os.path.exists(path)],
        "home": _address(asked["home"] or "localhost"),
    }


def collect(asked: dict[str, Any]) -> dict[str, str]:
    """Return the records that ranks left here, by the names of their files, and remove them.

    Where the folder was there before, it is the supervisor's own, and stays.

    Args:
        asked: ``folder``, of the records.

    Ranks: local; a process of its own on each host, which is no rank.
    """
    found: dict[str, str] = {}
    if not os.path.exists(os.path.join(asked["folder"], _MADE_HERE)):
        return found
    for name in sorted(os.listdir(asked["folder"])):
        path = os.path.join(asked["folder"], name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                found[name] = file.read()
    shutil.rmtree(asked["folder"], ignore_errors=True)
    return found


def _library(environment: dict[str, str]) -> str:
    """Return what the MPI library says of itself; empty, with the reason on standard error, if there is none."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mpi4py", "--mpi-lib-version"],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"mpi4py was not loaded within {_PATIENCE_S:g} s\n")
        return ""
    if done.returncode != 0:
        sys.stderr.write((done.stdout + done.stderr).strip() + "\n")
        return ""
    return done.stdout.strip()


def _address(name: str) -> str:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return ""


def main(asked: dict[str, Any]) -> None:
    """Do what is asked, and print the answer as the last line."""
    answer = collect(asked) if asked["what"] == "collect" else describe(asked)
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
