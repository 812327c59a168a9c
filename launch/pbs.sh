#!/bin/bash
# Starts a program as a job of PBS:  qsub -v PROGRAM='train.py --epochs 10' launch/pbs.sh
#PBS -N distfit
#PBS -l select=2:ncpus=4:mpiprocs=4
#PBS -l walltime=01:00:00
#PBS -j oe
#PBS -r y
# PBS_NODEFILE names a node once for each of its mpiprocs: so many ranks it gets. -r y starts the job again when a node is
# lost; a program that resumes from its checkpoint then goes on. At the time limit PBS sends SIGTERM, which `distfit run`
# turns into a stop that all ranks agree on; the server's kill_delay has to leave them the time for it.
set -euo pipefail

PROGRAM=${PROGRAM:?name it, with its arguments, as in qsub -v PROGRAM="train.py --epochs 10"}
RESTARTS=${RESTARTS:-3}                    # how often it is started again within the job where it fails
PYTHON=${PYTHON:-$(command -v python3)}    # of an environment that all nodes see

cd "${PBS_O_WORKDIR:-.}"
read -ra program <<<"$PROGRAM"
exec "$PYTHON" -m distfit run --max-restarts "$RESTARTS" "${program[@]}"
