"""Runs the kill matrix: python tests/run_kills.py [--quick] [--engine ENGINE] ... [WORD ...]; see `faults.kills`."""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.cases import IMPORT_S
from faults.kills import Kill, faults_of, kills, undisturbed
from run_faults import made, of_engine

_AT_A_TIME = 2


def main() -> int:
    """Parse the command line, run the cases, and say which went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some of them")
    parser.add_argument("--engine", choices=IMPORT_S, default="numpy", help="what computes the model")
    parser.add_argument("--table", type=Path, metavar="FILE", help="where to write the result")
    parser.add_argument("words", nargs="*", metavar="WORD", help="of the names of those to run")
    options = parser.parse_args()
    chosen = [
        kill
        for kill in kills(options.engine, quick=options.quick)
        if all(word in kill.name for word in options.words)
    ]
    sizes = sorted({size for kill in chosen for size in (kill.before, kill.after)})
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="undisturbed-") as folder, ThreadPoolExecutor(_AT_A_TIME) as pool:
        expected = undisturbed(options.engine, sizes, Path(folder), pool)

        def one(kill: Kill) -> tuple[Kill, list[str]]:
            return kill, faults_of(kill, expected)

        results = []
        for kill, faults in pool.map(one, chosen):
            results.append((kill, faults))
            if faults:
                print(f"{kill.name}\n  WRONG: " + "\n  WRONG: ".join(faults), flush=True)
    wrong = sum(bool(faults) for _, faults in results)
    seconds = time.monotonic() - began
    if options.table:
        options.table.write_text(_table(results, seconds, options.engine))
    print(f"{len(results)} kills in {seconds:.0f} s, {wrong} not as they should be")
    return int(bool(wrong))


def _table(results: list[tuple[Kill, list[str]]], seconds: float, engine: str) -> str:
    """Return the result as a document."""
    right = sum(not faults for _, faults in results)
    lines = [
        f"# The kill matrix{of_engine(engine)}",
        "",
        made(),
        f"{right} of {len(results)} trainings that were killed, and started again, ended as if nothing had been:",
        "with the same history, files, log and weights; bit by bit on as many ranks as before, to 1e-9 on others.",
        f"All of it took {seconds:.0f} s.",
        "",
        "| killed | at the moment | of | ranks before | ranks after | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for kill, faults in results:
        who = "all ranks" if len(kill.victims) == kill.before else f"rank {kill.victims[0]}"
        lines.append(
            f"| {who} | {kill.moment:.1%} | {'writing' if kill.kind == 'write' else 'training'} | {kill.before} |"
            f" {kill.after} | {'; '.join(faults) or 'right'} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
