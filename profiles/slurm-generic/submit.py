#!/usr/bin/env python3
"""Submit a job script of Snakemake's with sbatch and print the number of the job.

Snakemake calls it with the script's path; the script's second line says what the job asks for.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# What a site changes; the environment wins over what stands here.
ACCOUNT = os.environ.get("REPRO_SLURM_ACCOUNT", "")
CPU_PARTITION = os.environ.get("REPRO_SLURM_CPU_PARTITION", "cpu")
GPU_PARTITION = os.environ.get("REPRO_SLURM_GPU_PARTITION", "gpu")
LOGS = Path("logs/slurm")


def command(job: dict[str, Any], script: str) -> list[str]:
    """Return the call of sbatch for a job with these properties."""
    resources = job["resources"]
    gpus = resources.get("gpu", 0)
    name = job.get("rule") or job.get("groupid", "group")
    call = [
        "sbatch",
        "--parsable",
        f"--job-name=repro_{name}",
        f"--output={LOGS}/{name}-%j.log",
        f"--partition={GPU_PARTITION if gpus else CPU_PARTITION}",
        "--ntasks=1",
        f"--cpus-per-task={job['threads']}",
        f"--mem={resources['mem_mb']}",
        f"--time={resources['runtime']}",
    ]
    call += [f"--gpus={gpus}"] if gpus else []
    call += [f"--account={ACCOUNT}"] if ACCOUNT else []
    return [*call, script]


def properties_of(script: str) -> dict[str, Any]:
    """Return what Snakemake wrote into a job script about its job."""
    found = re.search(r"^# properties = (.+)$", Path(script).read_text(encoding="utf-8"), re.M)
    if found is None:
        raise SystemExit(f"{script}: not a job script of Snakemake's: no line '# properties = '")
    return dict(json.loads(found[1]))


def main() -> None:
    """Submit the script named last on the command line."""
    script = sys.argv[-1]
    LOGS.mkdir(parents=True, exist_ok=True)
    call = command(properties_of(script), script)
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=False)
    # With several clusters sbatch prints NUMBER;CLUSTER.
    print(done.stdout.strip().partition(";")[0])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
