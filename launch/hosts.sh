#!/bin/bash
# Starts a program on several machines by ssh:  HOSTS=node1:4,node2:4 launch/hosts.sh train.py
# Each needs the same Python at the same path, this folder, and ssh without a password. See launch/README.md.
set -euo pipefail

HOSTS=${HOSTS:?name the machines and how many ranks each gets, as in HOSTS=node1:4,node2:4}
THREADS=${THREADS:-1}                      # of BLAS, for each rank
PYTHON=${PYTHON:-$(command -v python3)}

ranks=0
for host in ${HOSTS//,/ }; do
  slots=${host##*:}
  [[ $host == *:* && $slots =~ ^[0-9]+$ ]] || { echo "HOSTS is host:ranks,host:ranks. Received: $HOSTS" >&2; exit 2; }
  ranks=$((ranks + slots))
done

export OMP_NUM_THREADS=$THREADS OPENBLAS_NUM_THREADS=$THREADS MKL_NUM_THREADS=$THREADS
mpiexec=$(dirname "$PYTHON")/mpiexec       # the one that pip installed beside this Python
[ -x "$mpiexec" ] || mpiexec=mpiexec

# sshd gives a remote process none of these variables: MPICH forwards all, Open MPI those that are named.
if "$mpiexec" --version | grep -q "Open MPI\|OpenRTE\|PRRTE"; then
  exec "$mpiexec" -n "$ranks" --host "$HOSTS" --bind-to none \
    -x OMP_NUM_THREADS -x OPENBLAS_NUM_THREADS -x MKL_NUM_THREADS "$PYTHON" "$@"
fi
exec "$mpiexec" -n "$ranks" -hosts "$HOSTS" "$PYTHON" "$@"
