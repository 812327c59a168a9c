"""Runs the fault matrix: python tests/run_faults.py [--quick] [--engine ENGINE] ... [WORD ...]; see --help.

Each case of `faults.cases` is a job of its own; two run at a time. Words choose the cases whose name has all of them.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from faults import job
from faults.cases import END_S, IMPORT_S, Case, cases, faults_of

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(__file__).with_name("faults") / "program.py"
_AT_A_TIME = 2


def main() -> int:
    """Parse the command line, run the cases, and say which went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one case of each fault and place")
    parser.add_argument("--engine", choices=IMPORT_S, default="numpy", help="what computes the model")
    parser.add_argument("--open-mpi", metavar="PYTHON", help="of an environment with Open MPI")
    parser.add_argument("--table", type=Path, metavar="FILE", help="where to write the result")
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_args()
    pythons = {"MPICH": sys.executable, "Open MPI": options.open_mpi}
    chosen = [
        replace(case, engine=options.engine)
        for case in cases(open_mpi=options.open_mpi is not None)
        if (case.quick or not options.quick) and all(word in case.name for word in options.words)
    ]
    began = time.monotonic()
    results = list(_run(chosen, pythons))
    wrong = [case.name for case, _, faults in results if faults]
    if options.table:
        options.table.write_text(_table(results, time.monotonic() - began, options.engine))
    print(f"{len(results)} faults in {time.monotonic() - began:.0f} s, {len(wrong)} not as they should be")
    return int(bool(wrong))


Result = tuple[Case, job.Ended, list[str]]


def _run(chosen: list[Case], pythons: dict[str, str]) -> Iterator[Result]:
    """Yield each case with how it ended, and what is wrong with that; print what is."""

    def one(case: Case) -> Result:
        ended = job.run(
            [str(PROGRAM), *case.arguments],
            case.size,
            limit_s=case.end_s,
            python=pythons[case.mpi],
            supervised=case.is_supervised,
            variables=case.variables,
        )
        return case, ended, faults_of(case, ended)

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for result in pool.map(one, chosen):
            case, ended, faults = result
            if faults:
                print(
                    f"{case.name}\n{_indented(ended.output)}\n  WRONG: " + "\n  WRONG: ".join(faults),
                    flush=True,
                )
            yield result


def _indented(text: str) -> str:
    return "\n".join(f"    | {line}" for line in text.splitlines()[-60:])


def made() -> str:
    """Say when, from what and where a table was made."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"Made by `make faults` on {time.strftime('%Y-%m-%d')} at commit {commit}, with Python"
        f" {platform.python_version()} on {os.cpu_count()} cores."
    )


def of_engine(engine: str) -> str:
    """Name the engine in a title, if it is not distfit's own."""
    return "" if engine == "numpy" else f", with a model of {engine}"


def _table(results: list[Result], seconds: float, engine: str) -> str:
    """Return the result as a document."""
    right = sum(not faults for _, _, faults in results)
    limit_s = END_S + IMPORT_S[engine]
    lines = [
        f"# The fault matrix{of_engine(engine)}",
        "",
        made(),
        f"{right} of {len(results)} jobs ended as they have to, in {seconds:.0f} s altogether.",
        f"Each had to end within {limit_s:.0f} s of the fault, with the status and the words that `cases.py` tells,",
        "and to leave no process, no shared memory and no temporary file behind.",
        "",
        "| fault | place | on ranks | MPI | seconds after it | status | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, ended, faults in results:
        verdict = "; ".join(faults) or "right"
        lines.append(
            f"| {case.fault} | {case.place} | {case.ranks_text} | {case.launcher} |"
            f" {ended.seconds:.1f} | {ended.status} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
