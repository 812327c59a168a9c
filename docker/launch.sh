#!/bin/bash
# Starts a program on the nodes that HOSTS names, once they all answer:  HOSTS=node-1:1,node-2:1 launch.sh train.py
set -euo pipefail

HOSTS=${HOSTS:?name the nodes and how many ranks each gets, as in HOSTS=node-1:1,node-2:1}
PATIENCE=${PATIENCE:-60}                   # seconds, for all nodes together

for host in ${HOSTS//,/ }; do
  # A name is not known before its container runs, so any failure means: not yet.
  until ssh -o ConnectTimeout=2 "${host%:*}" true 2>/dev/null; do
    ((SECONDS < PATIENCE)) || { echo "${host%:*} does not answer to ssh after $PATIENCE s" >&2; exit 1; }
    sleep 0.2
  done
done

exec /opt/launch/hosts.sh "$@"
