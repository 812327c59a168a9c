"""Bounds the time of each stage of make and of .ci/run, and says at the end what they took.

    python3 tools/budget.py run STAGE COMMAND...   run a command, and end it when the stage's time is up
    python3 tools/budget.py total                  print the seconds that everything may take
    python3 tools/budget.py report                 print what the stages took, and fail if that is too long

The table below is the only place where these times are written. What ran is noted in out/budget.tsv.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BUDGET_S = {
    "set-up": 180,
    "lint and types": 60,
    "tests": 720,
    "README and demo": 180,
    "faults": 240,
    "engines": 300,
    "JAX and Keras": 420,
    "hosts": 240,
}
TOTAL_S = 25 * 60
EXIT_TIMEOUT = 124
NOTES = Path(__file__).resolve().parent.parent / "out" / "budget.tsv"
_GRACE_S = 5.0


def run(stage: str, command: list[str]) -> int:
    """Run the command, end it and all that it started when its time is up, and note the time it took."""
    began = time.monotonic()
    process = subprocess.Popen(command, start_new_session=True)
    # Ctrl-C reaches this process alone, since the command has a session of its own.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = process.wait(BUDGET_S[stage])
    except subprocess.TimeoutExpired:
        print(
            f"budget: {stage} is over its {BUDGET_S[stage]} s: {' '.join(command)}",
            file=sys.stderr,
            flush=True,
        )
        status = EXIT_TIMEOUT
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    finally:
        if process.returncode is None:
            _end_group(process)
    NOTES.parent.mkdir(exist_ok=True)
    with NOTES.open("a") as notes:
        notes.write(f"{stage}\t{time.monotonic() - began:.1f}\n")
    return status


def report() -> int:
    """Print each stage's time beside its budget; 1 if any is over."""
    used = dict.fromkeys(BUDGET_S, 0.0)
    for line in NOTES.read_text().splitlines():
        name, took = line.split("\t")
        used[name] += float(took)
    rows = [(stage, used[stage], limit) for stage, limit in BUDGET_S.items() if used[stage]]
    rows.append(("in all", sum(used.values()), TOTAL_S))
    print(f"\n{'stage':<16} {'used':>7} {'budget':>7}")
    for stage, seconds, limit in rows:
        print(f"{stage:<16} {seconds:>5.0f} s {limit:>5} s{'  OVER' * (seconds > limit)}")
    return int(any(seconds > limit for _, seconds, limit in rows))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main(action: str, *arguments: str) -> int:
    """Do what the command line says."""
    if action == "run":
        return run(arguments[0], list(arguments[1:]))
    if action == "report":
        return report()
    print(TOTAL_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
