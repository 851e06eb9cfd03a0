"""What Slurm says of a job that ended without a word, or may still be at work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ANSWER_S = 30.0
ENDED = {
    *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY"),
    *("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"),
}


def job_state(job: str) -> str:
    """The state of a job in Slurm's word, `CANCELLED` as an example; empty where nobody knows it any more.

    The controller forgets a job some minutes after its end, and only clusters with accounting remember more.
    """
    found = re.search(r"\bJobState=(\w+)", _ask("scontrol", "show", "job", "--oneliner", job))
    if found:
        return found[1]
    words = _ask("sacct", "-X", "-n", "-P", "-o", "State", "-j", job).split()
    return words[0] if words and words[0].isupper() else ""


def at_work(job: str) -> bool:
    """Whether a job is running, waiting or ending."""
    state = job_state(job)
    return bool(state) and state not in ENDED


def last_job(folder: Path, comment: str) -> str:
    """Number of this user's last job with that comment, submitted from `folder`; empty if there is none.

    One that has ended is known for some minutes.
    """
    asked = _ask("squeue", "--me", "--states=all", "-h", "-o", "%i|%k|%Z")
    jobs = [line.split("|", 2) for line in asked.splitlines() if line.count("|") >= 2]
    numbers = [
        job
        for job, said, place in jobs
        if said == comment and Path(place) == folder and job.isdigit()
    ]
    return max(numbers, key=int, default="")


def _ask(*command: str) -> str:
    """What one of Slurm's commands prints; nothing where it fails, hangs or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
