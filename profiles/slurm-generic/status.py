#!/usr/bin/env python3
"""Print how a job stands, in the words Snakemake knows: running, success or failed.

squeue remembers a job that is over for MinJobAge seconds (300 by default). After that sacct is
asked, where the site keeps accounts. A job nobody knows has failed: better once too often than
waiting for ever.
"""

import subprocess
import sys
import time

ALIVE = {
    "CONFIGURING",
    "COMPLETING",
    "PENDING",
    "PREEMPTED",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESIZING",
    "RESV_DEL_HOLD",
    "RUNNING",
    "SIGNALING",
    "SPECIAL_EXIT",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
}
QUESTIONS = (
    ["squeue", "--noheader", "--states=all", "--format=%T", "--jobs"],
    ["sacct", "--noheader", "--parsable2", "--allocations", "--format=State", "--jobs"],
)
TRIES, PAUSE_SECONDS = 3, 5.0


def state_of(job: str) -> str:
    """Return Slurm's word for the state of the job, or an empty text where nobody knows it."""
    for question in QUESTIONS:
        try:
            answer = subprocess.run(
                [*question, job], capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if words := answer.stdout.split():
            return words[0]  # sacct: "CANCELLED by 0"
    return ""


def main() -> None:
    """Print one word about the job named last on the command line."""
    job = sys.argv[-1]
    for attempt in range(TRIES):
        if state := state_of(job):
            break
        if attempt + 1 < TRIES:
            time.sleep(PAUSE_SECONDS)
    else:
        print(f"job {job}: neither squeue nor sacct knows it", file=sys.stderr)
    if state in ALIVE:
        print("running")
    else:
        print("success" if state == "COMPLETED" else "failed")


if __name__ == "__main__":
    main()
