#!/usr/bin/env bash
# A sweep as a Slurm job array: each task does one shard, all write into one folder.
#
#   sbatch --array=1-8 slurm-array.sh SPEC.toml DIR
#
# Slurm tells each task the numbers of its array, so any complete array will do (0-7, 1-8,
# 1-64%10). To go on with what is missing submit the same array again: tasks with nothing
# left to do end at once. Part of an array is not that: `--array=3` is an array of one task,
# which does all that is missing.
#
#SBATCH --job-name=fanin
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
# `fanin sweep run SPEC.toml --dry-run` says how much it takes.
#SBATCH --mem-per-cpu=500M
#SBATCH --time=04:00:00
# A minute before the limit the sweep is asked to end. Without "B:" the signal goes to what
# srun has started and not to this script, which is here to see how it ended.
#SBATCH --signal=TERM@60
# Starts again by itself after preemption and where a node has failed.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=fanin-%A_%a.log
set -u

spec=${1:?usage: sbatch --array=1-N slurm-array.sh SPEC.toml DIR}
out=${2:?usage: sbatch --array=1-N slurm-array.sh SPEC.toml DIR}
# Without --cpus-per-task there is no such variable, and one CPU.
cpus=${SLURM_CPUS_PER_TASK:-1}

# srun does not take --cpus-per-task over from sbatch (since Slurm 22.05). --threads, since
# not every cluster confines a task to its CPUs, and fanin would use all that it sees.
srun --cpus-per-task="$cpus" fanin sweep run "$spec" --out "$out" --threads "$cpus"
status=$?

# 143: ended by the signal, with something left to do. (scancel ends this script as well.)
# The number of times is bounded for a run that takes longer than the time limit.
if [ "$status" -eq 143 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 50 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
