#!/bin/bash
# Starts a program on the cores of this machine:  RANKS=4 launch/local.sh train.py --epochs 10
# Options of `distfit run` may stand before the program:  launch/local.sh --dry-run train.py
set -euo pipefail

RANKS=${RANKS:-$(nproc)}
RESTARTS=${RESTARTS:-0}                    # how often the job is started again where it fails
PYTHON=${PYTHON:-$(command -v python3)}

exec "$PYTHON" -m distfit run -n "$RANKS" --max-restarts "$RESTARTS" "$@"
