#!/bin/bash
# Starts a program as a job of LSF:  PROGRAM='train.py --epochs 10' bsub < launch/lsf.sh
#BSUB -J distfit
#BSUB -n 8
#BSUB -R "span[ptile=4]"
#BSUB -W 1:00
#BSUB -o %J.out
#BSUB -r
#BSUB -wa USR1
#BSUB -wt 2
# -wa and -wt send USR1 two minutes before the time is up: `distfit run` hands it to the ranks, which stop together and
# keep their checkpoint. -r starts the job again when a host is lost; a program that resumes then goes on.
set -euo pipefail

PROGRAM=${PROGRAM:?name it, with its arguments, as in PROGRAM="train.py --epochs 10" bsub}
RESTARTS=${RESTARTS:-3}                    # how often it is started again within the job where it fails
PYTHON=${PYTHON:-$(command -v python3)}    # of an environment that all hosts see

read -ra program <<<"$PROGRAM"
exec "$PYTHON" -m distfit run --max-restarts "$RESTARTS" "${program[@]}"
