"""One invocation of the pipeline: alone in its working copy, and ended with what started it."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import IO

from evenground.errors import EvengroundError
from evenground.files import writing
from evenground.records.base import Record

SNAKEMAKE = Path(".snakemake")
LOCK = SNAKEMAKE / "evenground.lock"
PATIENCE_S, POLL_S = 5.0, 0.1
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# DVC sets it for the commands of its stages.
DVC = "DVC_STAGE"
# The number of an invocation, in the environment of all its jobs.
INVOCATION = "EVENGROUND_INVOCATION"
# What an invocation hands on to its jobs on other machines.
HANDED = "evenground-{}.invocation"


def hold(root: Path, patience_s: float = PATIENCE_S, unlock: bool = False) -> IO[str]:
    """Hold the working copy `root` for as long as the returned file stays open.

    The kernel frees it when its holder ends in any way; what Snakemake had locked for a killed
    holder is then freed here. Raises EvengroundError if another invocation is still at work after
    `patience_s`, and if the killed one may be on another machine, unless the user passed `unlock`.
    """
    with writing(root / LOCK):
        (root / SNAKEMAKE).mkdir(exist_ok=True)
        lock = (root / LOCK).open("a+", encoding="ascii")
    end_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > end_s:
                raise _refusal(root, lock) from None
        except OSError:
            # A file system without locks: Snakemake's own lock has to do.
            return lock
        time.sleep(POLL_S)
    _free(root, lock, unlock)
    return lock


def _refusal(root: Path, lock: IO[str]) -> EvengroundError:
    """The error that names the process which holds the working copy."""
    with lock:
        lock.seek(0)
        _, _, process = lock.read().partition(" ")
    return EvengroundError(
        "another invocation of the pipeline is at work in this folder",
        f"{root}, process {process.strip() or 'unknown'}",
        "wait for it to end, then run again",
    )


def _free(root: Path, lock: IO[str], unlock: bool) -> None:
    """Free what Snakemake locked for the last holder, and record this process as the next."""
    boot = BOOT_ID.read_text(encoding="ascii").strip()
    locks = root / SNAKEMAKE / "locks"
    lock.seek(0)
    # A holder on this machine has ended, for its lock was free; another machine's may be running.
    if lock.read().startswith(boot):
        shutil.rmtree(locks, ignore_errors=True)
    elif not unlock and any(locks.glob("*.lock")):
        lock.close()
        raise EvengroundError(
            "the folder is locked since before this machine was started, or by another machine",
            str(root),
            "if no invocation is at work there: snakemake --unlock --cores 1",
        )
    with writing(root / LOCK):
        lock.truncate(0)
        print(boot, os.getpid(), file=lock, flush=True)


def caller() -> list[int]:
    """The process that the pipeline must not outlive: DVC, if DVC started it."""
    return [os.getppid()] if DVC in os.environ else []


def end_with(pids: list[int]) -> None:
    """End this process, as by SIGTERM, as soon as one of the processes `pids` ends.

    For a training the parent would not do: in a container that is Apptainer, which outlives a
    killed pipeline. Raises EvengroundError if one of them has ended already.
    """
    try:
        watched = [os.pidfd_open(pid) for pid in pids]
    except ProcessLookupError:
        raise EvengroundError(
            "what started this has ended", f"processes {pids}", "run again"
        ) from None

    def wait() -> None:
        select.select(watched, [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    if watched:
        threading.Thread(target=wait, daemon=True).start()


def hand_on(root: Path, record: Record) -> str:
    """Begin an invocation: leave `record` for its jobs on other machines; returns its number."""
    number = str(time.time_ns())
    os.environ[INVOCATION] = number
    for old in (root / SNAKEMAKE).glob(HANDED.format("*")):
        old.unlink()
    record.write(_handed(root, number))
    return number


def handed_on(root: Path) -> Path:
    """What this job's invocation left for it; raises EvengroundError as `refuse_ended` does."""
    number = os.environ.get(INVOCATION, "")
    refuse_ended(root, number)
    return _handed(root, number)


def refuse_ended(root: Path, number: str) -> None:
    """Raises EvengroundError if another invocation has begun while this job was queued."""
    if not _handed(root, number).is_file():
        what = "job belongs to a finished invocation"
        raise EvengroundError(what, str(root), "no action needed")


def _handed(root: Path, number: str) -> Path:
    return root / SNAKEMAKE / HANDED.format(number)
