"""One invocation of the pipeline: alone in its working copy, and ended with what called it."""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import IO, Any, NoReturn

from evenground.errors import EvengroundError
from evenground.files import replacing, writing

SNAKEMAKE = Path(".snakemake")
LOCK = SNAKEMAKE / "evenground.lock"
PATIENCE_S, POLL_S = 5.0, 0.1
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# DVC sets it for the commands of its stages.
DVC = "DVC_STAGE"
# An invocation's own number, in the environment of all its jobs, and what it hands on to those on other machines.
INVOCATION = "EVENGROUND_INVOCATION"
HANDED = "evenground-{}.invocation"


def hold(root: Path, patience_s: float = PATIENCE_S, unlock: bool = False) -> IO[str]:
    """Hold the working copy `root` for as long as the file that is returned stays open.

    The kernel frees it when its holder ends, however that ends; what Snakemake had locked for a killed holder
    is then freed here. EvengroundError where another invocation is still at work after `patience_s`, and where the
    killed one may be on another machine, unless the user says `unlock`.
    """
    with writing(root / LOCK):
        (root / SNAKEMAKE).mkdir(exist_ok=True)
        lock = (root / LOCK).open("a+", encoding="ascii")
    end_s = time.monotonic() + patience_s
    while not (taken := _taken(lock)):
        if taken is None:
            return lock
        if time.monotonic() > end_s:
            _refuse(root, lock)
        time.sleep(POLL_S)
    _free(root, lock, unlock)
    return lock


def _taken(lock: IO[str]) -> bool | None:
    """Whether this process has it now; None on a file system without locks, where Snakemake's own must do."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _refuse(root: Path, lock: IO[str]) -> NoReturn:
    with lock:
        lock.seek(0)
        process = lock.read().split()[-1:]
    raise EvengroundError(
        "another invocation of the pipeline is at work in this folder",
        f"{root}, process {process[0] if process else 'unknown'}",
        "wait for it to end, then run again",
    )


def _free(root: Path, lock: IO[str], unlock: bool) -> None:
    """Free what Snakemake locked for the last holder, and write down that this process is the next."""
    boot, locks = BOOT_ID.read_text(encoding="ascii").strip(), root / SNAKEMAKE / "locks"
    lock.seek(0)
    # A holder on this machine is gone, for its lock was free. Of another machine's nothing is known here.
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
    """The process that the pipeline must not outlive: DVC, where that called it."""
    return [os.getppid()] if DVC in os.environ else []


def end_with(pids: list[int]) -> None:
    """End this process, as by SIGTERM, as soon as one of the processes `pids` ends: nothing is orphaned.

    Of a training the parent will not do: in a container that is Apptainer, which outlives a killed pipeline.
    EvengroundError where one of them has ended already.
    """
    try:
        watched = [os.pidfd_open(pid) for pid in pids]
    except ProcessLookupError:
        raise EvengroundError(
            "what called this has ended", f"processes {pids}", "run again"
        ) from None

    def wait() -> None:
        select.select(watched, [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    if watched:
        threading.Thread(target=wait, daemon=True).start()


def hand_on(root: Path, content: Any) -> str:
    """Begin an invocation: leave `content` for its jobs on other machines; returns the invocation's number.

    They start Snakemake anew, perhaps on another class of machine and when half of the runs are there, and
    must plan what the invocation planned.
    """
    number = os.environ[INVOCATION] = str(time.time_ns())
    for old in (root / SNAKEMAKE).glob(HANDED.format("*")):
        old.unlink()
    with replacing(_handed(root, number)) as beside:
        beside.write_bytes(pickle.dumps(content))
    return number


def handed_on(root: Path) -> Any:
    """What the invocation that this process is a job of handed on; EvengroundError where another has begun."""
    number = os.environ.get(INVOCATION, "")
    refuse_ended(root, number)
    return pickle.loads(_handed(root, number).read_bytes())


def refuse_ended(root: Path, number: str) -> None:
    """EvengroundError where the invocation `number` is not the latest: its job was left in a queue."""
    if not _handed(root, number).is_file():
        raise EvengroundError(
            "this job is of an invocation that has ended", str(root), "nothing: it does nothing"
        )


def _handed(root: Path, number: str) -> Path:
    return root / SNAKEMAKE / HANDED.format(number)
