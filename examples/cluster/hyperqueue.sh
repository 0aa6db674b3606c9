#!/usr/bin/env bash
# A sweep by HyperQueue: an array of tasks, given to whichever worker is free.
#
#   hq server start &                                       on the login node
#   hq alloc add slurm --time-limit 2h -- --partition=cpu   workers, as long as there is work
#   hyperqueue.sh SPEC.toml DIR [SHARDS [CPUS]]
#
# Take a few shards per worker: the short ones fill the gaps. A task whose worker is lost
# (its time was up) starts again on another and does what is missing. To go on with a job
# that was cancelled, submit it again. Needs a file system that all workers share.
set -euo pipefail

usage="usage: hyperqueue.sh SPEC.toml DIR [SHARDS [CPUS]]"
spec=${1:?$usage} out=${2:?$usage} shards=${3:-8} cpus=${4:-4}

# Workers need not have the path of this shell.
fanin=$(command -v fanin)

# HQ_TASK_ID tells a task its number, from 0, but not how many there are: --shards does.
# --threads, since HyperQueue does not confine a task to its CPUs.
# --crash-limit 0: however often workers are lost, it is not the fault of the task.
exec hq submit --name fanin --array "0-$((shards - 1))" --cpus "$cpus" --crash-limit 0 -- \
    "$fanin" sweep run "$spec" --out "$out" --shards "$shards" --threads "$cpus"
