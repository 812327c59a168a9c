#!/bin/bash
# Starts a program on the cores of this machine:  RANKS=4 launch/local.sh train.py --epochs 10
set -euo pipefail

RANKS=${RANKS:-$(nproc)}
THREADS=${THREADS:-1}                      # of BLAS, for each rank
PYTHON=${PYTHON:-$(command -v python3)}

export OMP_NUM_THREADS=$THREADS OPENBLAS_NUM_THREADS=$THREADS MKL_NUM_THREADS=$THREADS
mpiexec=$(dirname "$PYTHON")/mpiexec       # the one that pip installed beside this Python
[ -x "$mpiexec" ] || mpiexec=mpiexec

exec "$mpiexec" -n "$RANKS" "$PYTHON" "$@"
