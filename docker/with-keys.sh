#!/bin/sh
# Makes the pair of ssh keys that all containers share in a volume, unless it is there; then runs a command.
set -eu
cd /home/mpiuser/.ssh

# The containers start together: the first makes the keys, and the others wait for it. authorized_keys comes last, so
# that a pair without it is one that was not finished.
(
  flock 9
  if [ ! -f authorized_keys ]; then
    rm -f id_rsa id_rsa.pub
    ssh-keygen -q -t ed25519 -N "" -f id_rsa
    cp id_rsa.pub unfinished
    mv unfinished authorized_keys
  fi
) 9>lock

cd /home/mpiuser
exec "$@"
