"""Builds the image and runs the compose cluster: python tests/run_docker.py [--mpi MPI] [--base TAR] [--table FILE].

It needs root, podman and debootstrap, and no Docker daemon; see `docker.cluster`.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from docker.cluster import ROOT, Finding, build, files, findings, import_debian
from docker.podman import Podman

_PROGRAMS = ("podman", "runc", "netavark", "debootstrap")
_PACKAGES = "podman runc netavark aardvark-dns buildah conmon iptables debootstrap"


def main() -> int:
    """Parse the command line, look at everything, and say what is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mpi", nargs="+", default=["mpich", "openmpi"], choices=["mpich", "openmpi"])
    parser.add_argument(
        "--base", type=Path, default=ROOT / "out" / "debian.tar", help="of Debian's files; made if missing"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="where to write the result")
    options = parser.parse_args()
    if missing := _missing():
        print(f"0 passed, 0 failed, 1 skipped: the containers are not tested without {missing}")
        return 0
    began = time.monotonic()
    results = []
    for mpi, (name, faults) in _all(options.mpi, options.base.absolute()):
        results.append((mpi, name, faults))
        print(f"{'WRONG' if faults else 'right'}: {name}{f', {mpi}' if mpi else ''}", flush=True)
        for fault in faults:
            print("\n".join(f"    | {line}" for line in fault.splitlines()[-60:]), flush=True)
    seconds = time.monotonic() - began
    wrong = sum(bool(faults) for _, _, faults in results)
    if options.table:
        options.table.write_text(_table(results, seconds))
    print(f"{len(results) - wrong} passed, {wrong} failed")
    return int(bool(wrong))


def _missing() -> str:
    """Say what is missing; nothing if all is there."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/lib/podman"
    programs = [name for name in _PROGRAMS if not shutil.which(name, path=path)]
    if programs:
        return f"{', '.join(programs)}. On Debian: apt-get install {_PACKAGES}"
    return "" if os.geteuid() == 0 else "root, whom podman needs for networks and debootstrap for files"


def _all(mpis: list[str], base: Path) -> Iterator[tuple[str, Finding]]:
    """Yield what was looked at, with the MPI library that it concerns."""
    yield from (("", finding) for finding in files())
    folder = Path(tempfile.mkdtemp(prefix="distfit-"))
    try:
        with Podman(folder) as podman:
            import_debian(podman, base)
            for mpi in mpis:
                try:
                    build(podman, mpi)
                    yield mpi, ("the image is built", [])
                    yield from ((mpi, finding) for finding in findings(podman, mpi, folder))
                except RuntimeError as error:
                    yield mpi, ("image and cluster come to their end", [str(error)])
    finally:
        shutil.rmtree(folder)


def _table(results: list[tuple[str, str, list[str]]], seconds: float) -> str:
    """Return the result as a document."""
    commit = _said("git", "rev-parse", "--short", "HEAD")
    lines = [
        "# The containers",
        "",
        f"Made by `make test-docker` on {time.strftime('%Y-%m-%d')} at commit {commit},",
        f"with {_said('podman', '--version')} and Linux {platform.release()}, in {seconds:.0f} s.",
        "The losses are those of one rank in one container, to 1e-9 in float64.",
        "",
        "| looked at | MPI | verdict |",
        "|---|---|---|",
    ]
    for mpi, name, faults in results:
        verdict = " ".join("; ".join(faults).split())[:200].replace("|", "\\|")
        lines.append(f"| {name} | {mpi} | {verdict or 'right'} |")
    return "\n".join(lines) + "\n"


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
