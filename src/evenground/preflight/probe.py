"""The gate's probe: runs in an image as a training does, and compares what it sees with outside."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.containers.apptainer import IMAGE_FOLDER
from evenground.containers.images import ENGINE_PYTHON, RUNNER_PYTHON, Image
from evenground.containers.launcher import Launcher
from evenground.containers.start_failure import KEEPER, NO_OUTPUT, UNCOVER, explain, key_line
from evenground.files import writing
from evenground.gpus.choice import VISIBLE
from evenground.preflight.finding import Finding, error, ok, warning
from evenground.preflight.gpu import trained
from evenground.preflight.inside import Seen, left, look
from evenground.preflight.trial import Trial, fault_of
from evenground.records.dataset import PREPARED
from evenground.runs.plan import ATTEMPTS, RUNS, Plan
from evenground.runs.variables import of_a_step

LOGS = Path("results/logs")
COPY_FILES = ("Snakefile", "src/evenground", "scripts", "data", "results")
TMP = "/tmp"
KERNEL_FILES = ("/dev/null", "/dev/shm", "/sys/devices/system/cpu")
# Apptainer's flags with which a container does not see folders of the machine, or the driver.
HIDING = ("contain", "containall", "compat", "no-home", "workdir", "scratch", "mount")
NO_DRIVER = ("nvccli", "no-nv", "nv-off")
PROBE = "scripts/probe.py"
# Unpacking an image can take minutes.
LIMIT_S = 600.0
# So many of an image's foreign mounts are named.
MAX_MOUNTS = 3


@dataclass(frozen=True)
class Wanted:
    """What trainings must see."""

    files: Sequence[str]
    folders: Sequence[str]
    cards: Mapping[str, str]
    """Environment -> UUID of the card on which its engines compute."""


@dataclass(frozen=True)
class Difference:
    """Something that is different inside the container."""

    seen: str
    otherwise: str
    """The fix where neither a flag nor a bind is the cause."""
    flags: Sequence[str] = ()
    """Apptainer's flags that can be the cause."""
    path: str = ""
    """Binds that meet this path can be the cause, too."""


def wanted_of(plans: Sequence[Plan]) -> Wanted:
    """Return what trainings of these plans read and write, and the card that they use."""
    root = plans[0].root
    files = [str(root / name) for name in COPY_FILES]
    sources: set[str] = set()
    prepared: set[Path] = set()
    for plan in plans:
        for engine in plan.engines:
            sources.update(str(path) for path in engine.sources(root))
        prepared.update(root / plan.prepared(name) for name in plan.datasets)
    files += sorted(sources)
    for folder in sorted(prepared):
        if (folder / PREPARED).is_file():
            files.append(str(folder / PREPARED))
        files += [str(path) for path in sorted(folder.glob("*.npy"))]
    files += KERNEL_FILES
    folders = [str(root / folder) for folder in (RUNS, ATTEMPTS, LOGS)]
    cards = {}
    chosen = plans[0].here.choice.chosen
    if chosen:
        for plan, engine in trained(plans):
            cards[plan.environment(engine) or ""] = chosen.uuid
    return Wanted(files=files, folders=folders + [TMP], cards=cards)


def probe(image: Image, wanted: Wanted, launcher: Launcher) -> Finding:
    """Run the probe in an image; an error names the first thing that is different inside.

    Raises EvengroundError if a folder to be written cannot be made outside.
    """
    what = f"container of {image.environment}"
    token = secrets.token_hex(8)
    folders = [Path(folder) for folder in wanted.folders]
    for folder in folders:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    card = wanted.cards.get(image.environment, "")
    try:
        done = _run(launcher, launcher.line(image.file, _command(wanted, card, launcher, token)))
        lost = [str(folder) for folder in folders if not left(folder, token).is_file()]
    except subprocess.TimeoutExpired:
        seen = f"it did not answer within {LIMIT_S:.0f} s"
        return error(what, seen, "see whether the disk is busy")
    finally:
        for folder in folders:
            left(folder, token).unlink(missing_ok=True)
    inside = _answer(done.stdout)
    if done.returncode or inside is None:
        # Apptainer reports some errors on standard output.
        output = done.stderr
        if key_line(output) == NO_OUTPUT:
            output = done.stdout
        seen, fix = explain(output, launcher)
        return error(what, seen, fix)
    outside = look(list(inside.files), [], token)
    for difference in _differences(inside, outside, lost, card):
        return error(what, difference.seen, _fix_of(difference, launcher))
    return _same_as_outside(what, inside, launcher)


def _answer(stdout: str) -> Seen | None:
    """Return what the probe printed; None if it printed nothing."""
    # A site's own programs may print more.
    lines = [line for line in stdout.splitlines() if line.startswith("{")]
    if not lines:
        return None
    content = json.loads(lines[-1])
    trial = content.pop("trial")
    return Seen(**content, trial=Trial(**trial) if trial else None)


def _fix_of(difference: Difference, launcher: Launcher) -> str:
    return launcher.fix(difference.flags, difference.path) or difference.otherwise


def _same_as_outside(what: str, inside: Seen, launcher: Launcher) -> Finding:
    """Return a container without differences: a warning if every run in it will be flagged."""
    seen, fixes = [], []
    if inside.mounts:
        points = ", ".join(inside.mounts[:MAX_MOUNTS])
        seen.append(f"mounted over files of the image or of the working copy: {points}")
        fixes.append("bind nothing there, or runs are flagged")
    if not inside.container.endswith(".sif"):
        seen.append("the image is unpacked before every training, which keeps a disk busy")
        fixes.append(
            launcher.fix(["unsquash", "userns"]) or "install squashfuse, which mounts images"
        )
    if seen:
        return warning(what, "; ".join(seen), "; ".join(fixes), flags_runs=True)
    return ok(what, "sees the same as outside, and nothing else")


def _command(wanted: Wanted, card: str, launcher: Launcher, token: str) -> str:
    """Return the command: the image's own Python with the whole environment of a training step."""
    environ = dict(launcher.environ)
    if card:
        environ[VISIBLE] = card
    args = ["/usr/bin/env", "-i"]
    args += [f"{name}={value}" for name, value in of_a_step([], True, environ).items()]
    look = {
        "files": wanted.files,
        "folders": wanted.folders,
        "token": token,
        "python": ENGINE_PYTHON,
        "card": card,
        "ours": launcher.told.ours + launcher.told.mounted,
    }
    args += [RUNNER_PYTHON, "-s", str(Path.cwd() / PROBE), json.dumps(look)]
    # Apptainer sets the variable inside, so the shell there has to read it.
    container = '--container="${APPTAINER_CONTAINER:-}"'
    return f"set -euo pipefail; exec {shlex.join(args)} {container}"


def _run(launcher: Launcher, line: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line; raises subprocess.TimeoutExpired after LIMIT_S."""
    with subprocess.Popen(
        ["bash", "-c", line],
        env=dict(launcher.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=LIMIT_S)
        except BaseException:
            # If it were killed, Apptainer would leave the image behind that it has unpacked.
            process.terminate()
            process.wait(LIMIT_S)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def _differences(
    inside: Seen, outside: Seen, lost: Collection[str], card: str = ""
) -> Iterator[Difference]:
    """Yield what is different inside; first what can be the cause of other differences.

    `lost`: folders in which the probe's files were not found; `card`: UUID of the card it tried.
    """
    yield from _of_process(inside, outside)
    yield from _of_files(inside, outside)
    yield from _of_folders(inside, lost)
    if inside.python:
        yield Difference(
            seen=f"the engine's Python does not start inside: {inside.python}",
            flags=["scratch", "containlibs"],
            otherwise=UNCOVER,
            path=IMAGE_FOLDER,
        )
    if inside.trial:
        yield from _of_card(inside.trial, card)
    if inside.machine != outside.machine:
        yield Difference(
            seen=f"the machine is '{inside.machine}' inside, '{outside.machine}' outside",
            flags=("cpuset-cpus",) + NO_DRIVER,
            otherwise="let it see the same cores and GPUs",
        )


def _of_process(inside: Seen, outside: Seen) -> Iterator[Difference]:
    # With another user, or in another namespace, files are often not visible either.
    if inside.user != outside.user:
        yield Difference(
            seen=f"it runs as user {inside.user} inside, as {outside.user} outside",
            flags=["fakeroot", "security"],
            otherwise=f"{KEEPER})",
        )
    if inside.process_table != outside.process_table:
        yield Difference(
            seen=f"the machine's processes are not visible inside: {inside.process_table}",
            flags=["pid", "containall", "compat", "no-mount=proc"],
            otherwise=f"add /proc to APPTAINER_BIND; {KEEPER}: mount proc = yes)",
        )
    if inside.network != outside.network:
        yield Difference(
            seen="it has its own network inside, where the lock of trainings is not visible",
            flags=["net", "network", "netns-path"],
            otherwise=f"{KEEPER})",
        )
    if inside.cwd != outside.cwd:
        yield Difference(
            seen=f"the working directory inside is {inside.cwd}, not {outside.cwd}",
            flags=("cwd", "pwd") + HIDING,
            otherwise=f"{KEEPER}: mount home = yes)",
        )
    if inside.image:
        yield Difference(
            seen=f"the image is not used as it was built: {inside.image}",
            flags=["overlay", "writable", "writable-tmpfs", "compat"],
            otherwise=f"{KEEPER}: enable overlay = yes)",
        )


def _of_files(inside: Seen, outside: Seen) -> Iterator[Difference]:
    for path, there in inside.files.items():
        here = outside.files[path]
        if there != here:
            yield Difference(
                seen=f"{path} is different inside: {there}, not {here}",
                flags=HIDING + ("no-mount=home", "no-mount=cwd", "no-mount=sys", "no-mount=dev"),
                otherwise=f"bind nothing over it; {KEEPER}: mount home, sys, dev = yes)",
                path=path,
            )


def _of_folders(inside: Seen, lost: Collection[str]) -> Iterator[Difference]:
    for folder, reason in inside.folders.items():
        if not reason and folder not in lost:
            continue
        otherwise = f"bind it so that it can be written to; {KEEPER})"
        if folder == TMP:
            otherwise = f"add /tmp to APPTAINER_BIND; {KEEPER}: mount tmp = yes)"
        reason = reason or "it is another folder"
        yield Difference(
            seen=f"what is written to {folder} inside does not reach it: {reason}",
            flags=HIDING + ("no-mount=tmp",),
            otherwise=otherwise,
            path=folder,
        )


def _of_card(trial: Trial, card: str) -> Iterator[Difference]:
    """Yield why CUDA does not work inside; outside it was tried before."""
    fault = fault_of(trial, card)
    if fault is None:
        return
    seen = f"CUDA does not work inside: {fault.seen}"
    if fault.is_of_library:
        # `--nv` takes the driver's libraries that the loader's cache lists.
        fix = "let `ldconfig -p` outside list libcuda.so.1, where --nv looks for it"
        yield Difference(seen=seen, flags=NO_DRIVER, otherwise=f"{fix}; {KEEPER}, nvliblist.conf)")
    elif not trial.has_devices:
        yield Difference(
            seen=seen,
            flags=HIDING + ("no-mount=dev",),
            otherwise=f"{fault.fix}; {KEEPER}: mount dev = yes)",
            path="/dev",
        )
    else:
        yield Difference(seen=seen, flags=NO_DRIVER, otherwise=fault.fix)
