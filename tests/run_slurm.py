"""Runs jobs on a real Slurm that interrupts them: python tests/run_slurm.py [--table FILE] [WORD ...].

It needs root and Debian's Slurm; see `slurm.cases`. Words choose the cases whose name has all of them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from slurm.cases import CASES, ROOT, Result
from slurm.cluster import NODES, Slurm

_PROGRAMS = ("slurmctld", "slurmd", "munged", "ip", "unshare")


def main() -> int:
    """Parse the command line, run the cases, and say which went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="where to write the result")
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if missing := _missing():
        print(f"0 passed, 0 failed, 1 skipped: Slurm is not tested without {missing}")
        return 0
    began = time.monotonic()
    results: dict[str, Result] = {}
    with Slurm() as slurm:
        for name, case in CASES.items():
            # The first one gives the result to which the others' are compared.
            if not results or all(word in name for word in options.words):
                results[name] = case(slurm, slurm.folder / "undisturbed")
                _tell(name, results[name])
    wrong = sum(bool(result.faults) for result in results.values())
    if options.table:
        options.table.write_text(_table(results, time.monotonic() - began))
    print(f"{len(results) - wrong} passed, {wrong} failed")
    return int(bool(wrong))


def _missing() -> str:
    """Say what is missing; nothing if all is there."""
    if programs := [name for name in _PROGRAMS if not shutil.which(name)]:
        return f"{', '.join(programs)}. On Debian: apt-get install slurm-wlm munge iproute2"
    return "" if os.geteuid() == 0 else "root, who alone can make the nodes' networks"


def _tell(name: str, result: Result) -> None:
    print(f"{'WRONG' if result.faults else 'right'}: {name}, {result.seconds:.0f} s", flush=True)
    for line in "\n".join(result.faults or result.told).splitlines():
        print(f"    | {line}", flush=True)


def _table(results: dict[str, Result], seconds: float) -> str:
    """Return the result as a document."""
    commit = _said("git", "rev-parse", "--short", "HEAD")
    lines = [
        "# Jobs under Slurm",
        "",
        f"Made by `make test-slurm` on {time.strftime('%Y-%m-%d')} at commit {commit},",
        f"with {_said('slurmctld', '-V')}, {NODES} nodes on {os.cpu_count()} cores, in {seconds:.0f} s.",
        "Each is `sbatch launch/slurm.sbatch` with one rank on each of two nodes, and has to end with the history and",
        "the weights of the first, bit by bit. A silent node counts as lost after 45 s here, after 300 s by default.",
        "",
        "| what happens to it | started again | seconds | what it tells | verdict |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        faults = " ".join("; ".join(result.faults).split())[:200].replace("|", "\\|")
        told = "<br>".join(result.told)
        lines.append(f"| {name} | {result.restarts} | {result.seconds:.0f} | {told} | {faults or 'right'} |")
    return "\n".join(lines) + "\n"


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
