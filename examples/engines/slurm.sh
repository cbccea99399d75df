#!/bin/sh
# Labels texts with 32 tasks of a Slurm array:  sbatch slurm.sh STUDENT INPUT OUTPUT
# A task that is preempted, or whose node fails, is started again by Slurm, one that failed by submitting the same again: either passes
# over the parts that are there. How many there are is written twice, so that a part of the array can be submitted too.
#SBATCH --job-name=candist
#SBATCH --array=0-31
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --requeue
set -eu
exec candist predict --student "$1" --input "$2" --output "$3" \
  --part "$SLURM_ARRAY_TASK_ID/32" --threads "${SLURM_CPUS_PER_TASK:-8}"
