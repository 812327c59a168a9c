"""Makes the environment of `make demo` and `make test`: python3 tools/environment.py .venv EXTRAS.

It installs this checkout with the extras (as in "mpich,plot") and does nothing where that was done before
with the same pyproject.toml. It needs Python's standard library alone, no root, and neither pip nor
ensurepip, which Debian keeps in packages of their own: where they are missing, pip comes from the package
index.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

OLDEST_PYTHON = (3, 10)
PIP_WHEEL = "pip-25.3-py3-none-any.whl"
PIP_SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"
PROJECT = Path(__file__).resolve().parent.parent


def make(folder: Path, extras: str) -> None:
    """Make the environment in `folder`, or bring it up to date."""
    python = folder / "bin" / "python"
    stamp = folder / f"installed-{extras}"
    wanted = hashlib.sha256((PROJECT / "pyproject.toml").read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    if not _runs(python, "-m", "pip", "--version"):
        print(f"Making an environment in {folder}", flush=True)
        venv.create(folder, clear=True, symlinks=True)
        _add_pip(python)
    print(f"Installing distfit with {extras} (the first time takes a minute)", flush=True)
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([python, "-m", "pip", "install", *quiet, "-e", f"{PROJECT}[{extras}]"], check=True)
    stamp.write_text(wanted)


def _add_pip(python: Path) -> None:
    """Install pip from what Python brings, or with the pip of this machine, or from the package index."""
    if _runs(python, "-m", "ensurepip"):
        return
    if _runs(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "pip"):
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder, PIP_WHEEL)
        wheel.write_bytes(_pip_from_index())
        # A wheel is a zip file, from which Python can run the pip that then installs it.
        subprocess.run([python, wheel / "pip", "install", "--quiet", wheel], check=True)


def _pip_from_index() -> bytes:
    """Return pip's wheel, whose contents are checked against the hash above."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    request = urllib.request.Request(
        f"{index}/pip/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = {file["filename"]: file["url"] for file in json.load(answer)["files"]}
    with urllib.request.urlopen(files[PIP_WHEEL], timeout=60) as answer:
        wheel: bytes = answer.read()
    found = hashlib.sha256(wheel).hexdigest()
    if found != PIP_SHA256:
        sys.exit(f"{files[PIP_WHEEL]} is not the file that was expected: its sha256 is {found}")
    return wheel


def _runs(*command: str | Path) -> bool:
    """Tell whether a command exists and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"distfit needs Python 3.10 or later; this is {sys.version.split()[0]}. Set PYTHON to another"
        )
    make(Path(sys.argv[1]).absolute(), sys.argv[2])
