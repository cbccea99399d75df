#!/bin/sh
# Labels texts with a Slurm array:  sbatch slurm.sh STUDENT INPUT OUTPUT
# Paths that every node sees; candist, too. As many tasks as the array has share the work, each with as many threads as it has
# processors: --array, --cpus-per-task and --mem are your cluster's matter. All is done when OUTPUT has a _manifest.json. Until then submit
# the same again, whatever happened: parts that are there are passed over. (So not some of the tasks alone: they would share all of it.)
#SBATCH --job-name=candist
#SBATCH --array=0-31
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --requeue
#SBATCH --output=candist-%A_%a.log
#SBATCH --open-mode=append
set -eu
: "${3:?give STUDENT INPUT OUTPUT}"
exec candist predict --student "$1" --input "$2" --output "$3" \
  --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --threads "${SLURM_CPUS_PER_TASK:-8}"
