"""The gate's probe: what a training runs is run in its image, and what it sees is compared with outside."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.datasets.prepare import RECORD
from evenground.files import writing
from evenground.gpus.choice import VISIBLE
from evenground.images import ENGINE_PYTHON, RUNNER_PYTHON, Image
from evenground.preflight.call import Call
from evenground.preflight.finding import Finding
from evenground.preflight.gpu import trained
from evenground.preflight.inside import OF_ENGINE, Seen, left, look
from evenground.preflight.trial import Trial, fault_of
from evenground.preflight.words import KEEPER, NOTHING, NOTHING_OVER, last_words, why_not_started
from evenground.runs.plan import ATTEMPTS, RUNS, Plan
from evenground.runs.variables import of_a_step

LOGS = Path("results/logs")
OWN_FILES = ("Snakefile", "src/evenground", "scripts", "data", "results")
TMP = "/tmp"
OF_THE_KERNEL = ("/dev/null", "/dev/shm", "/sys/devices/system/cpu")
NO_TMP = f"add /tmp to APPTAINER_BIND; {KEEPER}: mount tmp = yes)"
HIDING = ("contain", "containall", "compat", "no-home", "workdir", "scratch", "mount")
NO_DRIVER = ("nvccli", "no-nv", "nv-off")
FIND_DRIVER = f"let `ldconfig -p` outside list libcuda.so.1, where --nv looks for it; {KEEPER}, nvliblist.conf)"
PROBE = "scripts/probe.py"
LIMIT_S = 600.0
"""An image that is unpacked takes its time."""


@dataclass(frozen=True)
class Wanted:
    """What a training must see."""

    files: Sequence[str]
    folders: Sequence[str]
    card: str = ""
    """UUID of the card that its engine gets; empty where none computes on a GPU."""
    on_card: Collection[str] = ()
    """The environments whose engines compute there."""

    def card_of(self, environment: str) -> str:
        """The card that engines of an environment get."""
        return self.card if environment in self.on_card else ""


@dataclass(frozen=True)
class Difference:
    """Something that is not as it is outside."""

    seen: str
    flags: Sequence[str]
    """Of Apptainer's, those that can be why."""
    otherwise: str
    """The fix where none of them was given."""
    path: str = ""
    """Of it; then what is bound there can be why, too."""


def wanted_of(plans: Sequence[Plan]) -> Wanted:
    """Files and folders of the working copy that trainings of these plans read and write."""
    root = plans[0].root
    sources = {
        str(path) for plan in plans for engine in plan.engines for path in engine.sources(root)
    }
    prepared = {plan.prepared(name) for plan in plans for name in plan.datasets}
    arrays = [str(path) for folder in prepared for path in sorted((root / folder).glob("*.npy"))]
    records = [
        str(root / folder / RECORD) for folder in prepared if (root / folder / RECORD).is_file()
    ]
    own = [str(root / name) for name in OWN_FILES]
    written = [str(root / folder) for folder in (RUNS, ATTEMPTS, LOGS)]
    on_card = {plan.environment(engine) or "" for plan, engine in trained(plans)}
    chosen = plans[0].here.choice.chosen
    return Wanted(
        files=[*own, *sorted(sources), *records, *arrays, *OF_THE_KERNEL],
        folders=[*written, TMP],
        card=chosen.uuid if chosen else "",
        on_card=on_card,
    )


def probe(image: Image, wanted: Wanted, call: Call) -> Finding:
    """Run the probe in the image's file; a lack names the first thing that is not as it is outside."""
    what = f"container of {image.environment}"
    token = secrets.token_hex(8)
    for folder in map(Path, wanted.folders):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    try:
        done = _run(image, wanted, call, token)
        lost = [folder for folder in wanted.folders if not left(Path(folder), token).is_file()]
    except subprocess.TimeoutExpired:
        return Finding(
            what,
            "lack",
            f"it did not answer within {LIMIT_S:.0f} s",
            "see whether the disk is busy",
        )
    finally:
        for folder in map(Path, wanted.folders):
            left(folder, token).unlink(missing_ok=True)
    inside = _answer(done.stdout)
    if done.returncode or inside is None:
        # Of some lacks it speaks where programs speak.
        said = done.stdout if last_words(done.stderr) == NOTHING else done.stderr
        seen, fix = why_not_started(said, image, call)
        return Finding(what, "lack", seen, fix)
    outside = look(list(inside.files), [], token)
    for found in _differences(inside, outside, lost, wanted.card_of(image.environment)):
        return Finding(what, "lack", found.seen, _mend(found, call))
    return _as_it_is(what, inside, call)


def _answer(stdout: str) -> Seen | None:
    """What the probe printed; None where it printed nothing, beside whatever a site's programs print."""
    lines = [line for line in stdout.splitlines() if line.startswith("{")]
    if not lines:
        return None
    content = json.loads(lines[-1])
    trial = content.pop("trial", None)
    return Seen(**content, trial=Trial(**trial) if trial else None)


def _mend(found: Difference, call: Call) -> str:
    """Who told Apptainer so is named; where nobody did, what else can be done."""
    binds = call.binds_at(found.path) if found.path else []
    return " and ".join(filter(None, [call.who_says(*found.flags), *binds])) or found.otherwise


def _as_it_is(what: str, inside: Seen, call: Call) -> Finding:
    """Nothing lacks; what will be a finding of every run is said now."""
    told: list[tuple[str, str]] = []
    if inside.mounts:
        seen = f"mounted over files of the image or of the working copy: {', '.join(inside.mounts[:3])}"
        told.append((seen, "bind nothing there, or runs are flagged"))
    if not inside.container.endswith(".sif"):
        who = call.who_says("unsquash", "userns") or "install squashfuse, and it is mounted"
        told.append(("the image is unpacked before every training, which keeps a disk busy", who))
    if told:
        seen, fix = ("; ".join(texts) for texts in zip(*told, strict=True))
        return Finding(what, "warning", seen, fix, flags_runs=True)
    return Finding(what, "ok", "sees what is outside of it, and nothing else")


def _run(image: Image, wanted: Wanted, call: Call, token: str) -> subprocess.CompletedProcess[str]:
    """As a training's rule does: the image's own Python, with the whole environment of a step."""
    card = wanted.card_of(image.environment)
    environ = {**call.environ, VISIBLE: card} if card else call.environ
    variables = [f"{name}={value}" for name, value in of_a_step([], True, environ).items()]
    words = ["/usr/bin/env", "-i", *variables, RUNNER_PYTHON, "-s", str(Path.cwd() / PROBE)]
    words += ["--token", token, "--python", ENGINE_PYTHON, f"--card={card}"]
    words += [
        "--files",
        *wanted.files,
        "--folders",
        *wanted.folders,
        "--ours",
        *call.told.ours,
        *call.told.mounted,
    ]
    if image.record.is_file():
        words += ["--image", str(image.record.absolute())]
    command = f'exec {shlex.join(words)} --container="${{APPTAINER_CONTAINER:-}}"'
    line = call.line(image.file, f"set -euo pipefail; {command}")
    with subprocess.Popen(
        ["bash", "-c", line],
        env=dict(call.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=LIMIT_S)
        except BaseException:
            # Killed at once, Apptainer would leave the image behind that it has unpacked.
            process.terminate()
            process.wait(LIMIT_S)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def _differences(
    inside: Seen, outside: Seen, lost: Collection[str], card: str = ""
) -> Iterator[Difference]:
    """What is not as it is outside; first what explains other differences."""
    if inside.user != outside.user:
        yield Difference(
            f"it runs there as user {inside.user}, outside as {outside.user}",
            ("fakeroot", "security"),
            f"{KEEPER})",
        )
    if inside.process_table != outside.process_table:
        yield Difference(
            f"the machine's processes are not seen there: {inside.process_table}",
            ("pid", "containall", "compat", "no-mount=proc"),
            f"add /proc to APPTAINER_BIND; {KEEPER}: mount proc = yes)",
        )
    if inside.network != outside.network:
        yield Difference(
            "it has a network of its own there, and the lock of trainings is not seen",
            ("net", "network", "netns-path"),
            f"{KEEPER})",
        )
    if inside.cwd != outside.cwd:
        yield Difference(
            f"it begins there in {inside.cwd}, not in {outside.cwd}",
            ("cwd", "pwd", *HIDING),
            f"{KEEPER}: mount home = yes)",
        )
    if inside.image:
        yield Difference(
            f"the image is not used as it is: {inside.image}",
            ("overlay", "writable", "writable-tmpfs", "compat"),
            f"{KEEPER}: enable overlay = yes)",
        )
    yield from _of_paths(inside, outside, lost)
    if inside.python:
        yield Difference(
            f"the engine's Python does not start there: {inside.python}",
            ("scratch", "containlibs"),
            NOTHING_OVER,
            OF_ENGINE,
        )
    if inside.replaced:
        yield Difference(f"it is not the recorded image: {inside.replaced}", (), "run again")
    if inside.trial:
        yield from _of_card(inside.trial, card)
    if inside.machine != outside.machine:
        yield Difference(
            f"the machine is '{inside.machine}' there, outside '{outside.machine}'",
            ("cpuset-cpus", *NO_DRIVER),
            "let it see the same cores and GPUs",
        )


def _of_card(trial: Trial, card: str) -> Iterator[Difference]:
    """Why CUDA does not work there; it was tried outside before."""
    fault = fault_of(trial, card)
    if fault is None:
        return
    seen = f"CUDA does not work there: {fault.seen}"
    if fault.is_of_library:
        yield Difference(seen, NO_DRIVER, FIND_DRIVER)
    elif not trial.has_devices:
        yield Difference(
            seen, (*HIDING, "no-mount=dev"), f"{fault.fix}; {KEEPER}: mount dev = yes)", "/dev"
        )
    else:
        yield Difference(seen, NO_DRIVER, fault.fix)


def _of_paths(inside: Seen, outside: Seen, lost: Collection[str]) -> Iterator[Difference]:
    for path, found in inside.files.items():
        if found != outside.files[path]:
            yield Difference(
                f"{path} is not seen there as it is outside: {found}, not {outside.files[path]}",
                (*HIDING, *(f"no-mount={name}" for name in ("home", "cwd", "sys", "dev"))),
                f"bind nothing over it; {KEEPER}: mount home, sys, dev = yes)",
                path,
            )
    for folder, reason in inside.folders.items():
        if reason or folder in lost:
            yield Difference(
                f"what is written there to {folder} does not reach it: {reason or 'it is another folder'}",
                (*HIDING, "no-mount=tmp"),
                NO_TMP if folder == TMP else f"bind it so that it can be written; {KEEPER})",
                folder,
            )
