#!/usr/bin/env bash
# After Snakemake itself was killed on a Slurm cluster: its jobs live on, and its lock stays. This
# cancels those jobs and takes the lock off; then the usual command goes on where things stood.
# Run it in the folder of the run, with no other Snakemake at work there.
set -euo pipefail

mine() { # numbers of this folder's jobs that are not over
    squeue --user="$(id -un)" --noheader --format='%i|%j|%Z' |
        awk -F '|' -v folder="$(pwd -P)" '$2 ~ /^repro_/ && $3 == folder {print $1}'
}

mapfile -t jobs < <(mine)
if ((${#jobs[@]})); then
    echo "Cancelling ${jobs[*]}"
    scancel "${jobs[@]}"
    for _ in {1..60}; do
        [[ -n $(mine) ]] || break
        sleep 1
    done
    if [[ -n $(mine) ]]; then
        echo "Still there: $(mine | xargs). Try again in a minute." >&2
        exit 1
    fi
else
    echo "No jobs of this folder are left."
fi
snakemake --unlock
