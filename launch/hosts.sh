#!/bin/bash
# Starts a program on several machines by ssh:  HOSTS=node1:4,node2:4 launch/hosts.sh train.py
# Each needs the same Python at the same path, the program, and ssh without a password. See launch/README.md.
# Options of `distfit run` may stand before the program:  HOSTS=node1:4 launch/hosts.sh --dry-run train.py
set -euo pipefail

HOSTS=${HOSTS:?name the machines and how many ranks each gets, as in HOSTS=node1:4,node2:4}
RESTARTS=${RESTARTS:-0}                    # how often the job is started again where it fails
PYTHON=${PYTHON:-$(command -v python3)}

exec "$PYTHON" -m distfit run --hosts "$HOSTS" --max-restarts "$RESTARTS" "$@"
