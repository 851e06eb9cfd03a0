"""What Slurm says of a job that ended without a word, or may still be at work."""

from __future__ import annotations

import re
import subprocess

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


def is_at_work(state: str) -> bool:
    """Whether a job in this state is running, waiting or ending; not where nobody knows it."""
    return bool(state) and state not in ENDED


def _ask(*command: str) -> str:
    """What one of Slurm's commands prints; nothing where it fails, hangs or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
