"""Runs all benchmarks: prints a table, and writes the figures as JSON.

python -m benchmarks [--quick] [--only fit_overhead ...] [--out FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import launch
from benchmarks.figure import Figure, table

JOBS = (
    ("fit_overhead", 1),
    ("fit_overhead", 2),
    ("scaling", 2),
    ("split", 1),
    ("split", 2),
    ("dispatch", 1),
    ("messages", 1),
    ("messages", 2),
    ("safety", 1),
    ("safety", 2),
    ("watching", 1),
    ("watching", 2),
    ("checkpoints", 1),
    ("data", 1),
    ("node_memory", 2),
    ("memory", 4),
    ("network", 1),
    ("scale", 1),
    ("scale_node", 2),
    ("peer_torch", 1),
    ("peer_torch", 2),
    ("peer_torch_model", 1),
    ("peer_torch_model", 2),
    ("peer_keras", 1),
    ("peer_keras", 2),
    ("peer_keras_dispatch", 1),
)
NEEDED = {
    "data": ("h5py", "zarr"),
    "peer_torch": ("torch",),
    "peer_torch_model": ("torch",),
    "peer_keras": ("keras", "jax"),
    "peer_keras_dispatch": ("keras", "jax"),
}
LATEST = Path(__file__).parent / "results" / "latest.json"
TIMEOUT_S = 600.0


def main() -> int:
    """Run the benchmarks, and return 0 if all of them ran, whatever they found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="only see that everything works")
    parser.add_argument("--only", nargs="+", choices=sorted({name for name, _ in JOBS}), help="run these")
    parser.add_argument("--out", type=Path, default=LATEST, help="where the figures go")
    options = parser.parse_args()

    machine: dict[str, Any] = {}
    figures: list[Figure] = []
    failures: list[str] = []
    for name, ranks in JOBS:
        missing = [module for module in NEEDED.get(name, ()) if importlib.util.find_spec(module) is None]
        if options.only and name not in options.only:
            continue
        if missing:
            print(f"{name} is left out: {', '.join(missing)} is not installed", file=sys.stderr)
            continue
        print(f"{name}, {ranks} rank(s) ...", file=sys.stderr, flush=True)
        try:
            result = launch.start(name, ranks, quick=options.quick, timeout_s=TIMEOUT_S)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            failures.append(name)
            continue
        machine = machine or result["machine"]
        figures += [Figure(**figure) for figure in result["figures"]]

    print("\n".join(f"{name}: {value}" for name, value in machine.items()), end="\n\n")
    print(table(figures))
    write(options.out, machine, figures)
    print(f"\nwritten to {options.out}")
    return 1 if failures else 0


def write(path: Path, machine: dict[str, Any], figures: list[Figure]) -> None:
    """Write what was measured, and on what."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "figures": [figure.as_dict() for figure in figures]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
