#!/bin/sh
# Labels texts with 32 tasks of a Slurm array:  sbatch slurm.sh STUDENT INPUT OUTPUT
# A task that fails or is preempted is started again, and passes over the parts that are there.
#SBATCH --job-name=candist
#SBATCH --array=0-31
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --requeue
set -eu
exec candist predict --student "$1" --input "$2" --output "$3" \
  --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --threads "${SLURM_CPUS_PER_TASK:-8}"
