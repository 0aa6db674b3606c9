#!/usr/bin/env bash
# A sweep by GNU parallel over machines that one can ssh to, without a scheduler.
#
#   parallel.sh SPEC.toml DIR SHARDS [HOST,HOST…]
#
# Each machine does one shard at a time, on all its cores, and takes the next: some shards
# more than machines let fast ones do more. The same command goes on where it was stopped.
# Without hosts it is this machine alone, which needs none of this: `fanin sweep run` uses
# all cores.
#
# fanin must be on the path of `ssh HOST`, the data where it finds them there; or set
# FANIN_DATA, to what it is on all hosts. DIR should be relative: on the hosts it is below
# ~/fanin-sweep. No file system need be shared: results are fetched, by rsync.
set -euo pipefail

usage="usage: parallel.sh SPEC.toml DIR SHARDS [HOST,HOST…]"
spec=${1:?$usage} out=${2:?$usage} shards=${3:?$usage} hosts=${4:-}
mkdir -p "$out"

# Results are fetched also from a shard that failed, and stay on the host: it goes on from
# there if it gets that shard again.
remote=()
if [ -n "$hosts" ]; then
    remote=(--sshlogin "$hosts" --workdir fanin-sweep --env FANIN_DATA
        --basefile "$spec" --return "$out/shard-{}")
fi

# --retries: on another host where there is one. --termseq: time to end cleanly, then the
# end. --tag: which shard says what. --quote: file names may have spaces.
status=0
seq "$shards" | parallel "${remote[@]}" --jobs 1 --retries 3 --tag --line-buffer --quote \
    --termseq TERM,5000,KILL --joblog "$out/parallel.log" \
    fanin sweep run "$spec" --out "$out/shard-{}" --shard "{}/$shards" || status=$?

# What there is, even if shards failed.
shopt -s nullglob
folders=("$out"/shard-*)
[ ${#folders[@]} -eq 0 ] || fanin sweep merge "${folders[@]}" --out "$out/all"
exit "$status"
