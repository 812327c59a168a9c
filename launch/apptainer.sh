#!/bin/bash
# Starts a program in a container of an image, on this machine:  RANKS=4 launch/apptainer.sh train.py --epochs 10
# The image has distfit and an MPI, such as that of docker/:  apptainer build distfit.sif docker-daemon:distfit:mpich
# On several machines the site's mpiexec starts a container for each rank. It has to be of the image's MPI:
#   mpiexec -n 8 apptainer exec distfit.sif /opt/distfit/bin/python train.py
set -euo pipefail

IMAGE=${IMAGE:-distfit.sif}
RANKS=${RANKS:-$(nproc)}
RESTARTS=${RESTARTS:-0}                    # how often the job is started again where it fails
PYTHON=${PYTHON:-/opt/distfit/bin/python}  # in the image

# mpiexec and all ranks are in one container: they share memory, and nothing of MPI is needed outside.
exec apptainer exec "$IMAGE" "$PYTHON" -m distfit run -n "$RANKS" --max-restarts "$RESTARTS" "$@"
