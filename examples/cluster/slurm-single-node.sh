#!/usr/bin/env bash
# Tries slurm-array.sh on a Slurm of its own: one node, this machine, in a temporary folder.
#
#   PATH=$PWD/target/release:$PATH examples/cluster/slurm-single-node.sh [COMMAND…]
#
# With a COMMAND (bash, for one) that is run in this Slurm instead of the checks.
#
# For Debian: apt-get install slurmctld slurmd slurm-client munge. Works for any user, in a
# container, without systemd and without cgroups; leaves an installed Slurm alone.
#
# Runs check.toml without Slurm, as an array, and as an array whose tasks are ended halfway
# and that is submitted again: all must have the same runs with the same weights.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export FANIN_DATA=${FANIN_DATA:-$here/../../data}
# Daemons are in sbin, which is not on everyone's path.
PATH=$PATH:/usr/sbin
for program in fanin slurmctld slurmd sbatch munged; do
    command -v "$program" >/dev/null || { echo "$program: not found"; exit 2; }
done

work=$(mktemp -d)
daemons=()
finish() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        echo "FAILED; the last lines of the logs:"
        tail -n 5 "$work"/*.log "$work"/out/*.log 2>/dev/null || true
    fi
    # Jobs first: slurmd lives on in those it has started.
    scancel --user="$(id -un)" 2>/dev/null && sleep 2
    [ ${#daemons[@]} -eq 0 ] || kill "${daemons[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap finish EXIT

# Waits up to $1 seconds until the rest is true.
within() {
    local seconds=$1 end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "waited $seconds s in vain for: $*"; return 1; }
        sleep 0.1
    done
}

# --- the cluster

# munged wants to be reached by everyone, and its key by nobody.
chmod 711 "$work"
head -c 1024 /dev/urandom >"$work/munge.key"
chmod 400 "$work/munge.key"
mkdir "$work/state" "$work/spool" "$work/out"
user=$(id -un)
host=$(hostname -s)
port=$((20000 + $$ % 10000 * 2))
# Two at least, for tasks that run side by side.
cpus=$(($(nproc) > 2 ? $(nproc) : 2))
memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
cat >"$work/slurm.conf" <<EOF
ClusterName=check
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$user
SlurmdUser=$user
# cred_expire: a job that was requeued waits that long.
AuthInfo=socket=$work/munge.socket,cred_expire=5
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
# Neither cgroups nor systemd.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
# What is written here counts, not what slurmd finds.
SlurmdParameters=config_overrides
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
EOF
export SLURM_CONF=$work/slurm.conf

munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge.socket" \
    --pid-file="$work/munged.pid" --seed-file="$work/munged.seed" \
    --log-file="$work/munged.out.log" &>"$work/munged.log" &
daemons+=($!)
within 10 test -S "$work/munge.socket"
slurmctld -D -i &>"$work/slurmctld.log" &
daemons+=($!)
slurmd -D -N "$host" &>"$work/slurmd.log" &
daemons+=($!)
idle() { [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; }
within 30 idle
echo "$(sbatch --version), one node with $cpus CPUs"

if [ $# -gt 0 ]; then
    "$@"
    exit
fi

# --- the sweeps

cd "$work/out"
spec=$here/check.toml

# "RUN WEIGHTS" for each run in a folder.
results() {
    cat "$1"/segment-*.jsonl |
        sed -nE 's/.*"run":"([0-9a-f]+)".*"weights_sha256":"([0-9a-f]+)".*/\1 \2/p' | sort -u
}
# check FOLDER WHAT
check() {
    if ! diff <(results alone) <(results "$1") | head -n 5; then
        echo "$2: not the same runs and weights"
        return 1
    fi
    echo "ok: $2: $(results "$1" | wc -l) runs, the same weights"
}
# submit N FOLDER: an array of N tasks with a CPU each; sets $job.
submit() {
    job=$(sbatch --parsable --array="1-$1" --cpus-per-task=1 "$here/slurm-array.sh" "$spec" "$2")
}
gone() { [ -z "$(squeue --noheader --jobs="$1" 2>/dev/null)" ]; }
# How the tasks of a job ended: "3 COMPLETED 1 CANCELLED"
states() {
    scontrol show job "$1" | sed -nE 's/.*JobState=([A-Z]+).*/\1/p' | sort | uniq -c | xargs
}

all_completed() {
    [ "$(states "$job")" = "$1 COMPLETED" ] || { echo "tasks: $(states "$job")"; return 1; }
}

fanin sweep run "$spec" --out alone 2>/dev/null
runs=$(results alone | wc -l)
[ "$runs" -eq 64 ] || { echo "$runs of 64 runs"; exit 1; }

submit 4 together
within 120 gone "$job"
all_completed 4
check together "an array of four tasks"

submit 2 ended
some() { [ -n "$(results ended 2>/dev/null)" ]; }
within 60 some
# One is asked to end, the other cannot do anything about it.
scancel "${job}_1"
scancel --full --signal=KILL "${job}_2"
within 120 gone "$job"
left=$((runs - $(results ended | wc -l)))
echo "two tasks ended halfway ($(states "$job")): $left runs are missing"
[ "$left" -gt 0 ] || { echo "they were too quick to try this"; exit 1; }
submit 2 ended
within 120 gone "$job"
all_completed 2
check ended "the same array again"
