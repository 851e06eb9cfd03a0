#!/usr/bin/env python3
"""Try all that evenground assumes of NVIDIA GPUs on the card of this machine, and write down what comes out.

Nothing is installed, downloaded, reset or reconfigured. Each step runs in a process of its own with a limit
of time; what is not installed is skipped by name. The exit status is 0 whatever fails: it stands in the table
and in one JSON file, which names neither host nor user. docs/gpu.md says what to do with it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import _path
import environment
from gpu_steps.bench import Bench, last_line
from gpu_steps.report import NO, SKIPPED, Report, Row, read_rows, scrubbed, table
from gpu_steps.steps import BY_NAME, FACTS, STEPS, Step

SCHEMA = 1
MINUTES = 8.0
GRACE_S = 3.0
# Framework -> what is imported to see whether a Python has it, and the locked environments that do.
FRAMEWORKS = {
    "core": ("pydantic yaml pynvml", ("workflow", "test")),
    "jax": ("jax numpy", ("jax-cuda",)),
    "tensorflow": ("tensorflow keras numpy", ("keras-cuda",)),
    "torch": ("torch", ()),
}
FOR_STEPS = ("pynvml", "numpy")
HAS = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))"


@dataclass(frozen=True)
class Given:
    """What all steps of this call share."""

    folder: Path
    pythons: Mapping[str, str]
    """Framework -> its interpreter."""
    lacking: Mapping[str, str]
    """What is not there, with the reason."""
    gpu: str
    until_s: float
    """When the call should be over, on the monotonic clock."""
    limit_s: float
    """No step gets more."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="name the steps and do nothing")
    parser.add_argument("--steps", help="only these, by their names with commas between")
    parser.add_argument("--gpu", default="", help="UUID or index of the card (default: the first)")
    python = "FRAMEWORK=PATH, the interpreter that has jax, tensorflow, torch, or what the core needs (core)"
    parser.add_argument(
        "--python", action="append", default=[], metavar="FRAMEWORK=PATH", help=python
    )
    output = _path.ROOT / "results" / "gpu-check.json"
    parser.add_argument(
        "--output", type=Path, default=output, help="default: results/gpu-check.json"
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="most it takes (default: 8)")
    parser.add_argument(
        "--step-limit-s", type=float, default=600.0, help="most that one step takes"
    )
    parser.add_argument("--alone", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.alone:
        do(BY_NAME[given.alone[0]], Path(given.alone[1]))
        return
    if given.list:
        print(
            "\n".join(
                f"{step.name:15}{step.asks}{' (only by name)' * step.on_request}" for step in STEPS
            )
        )
        return
    began_s, steps = time.monotonic(), chosen(given.steps)
    pythons, lacking = interpreters(given.python)
    for name, why in lacking.items():
        print(f"missing: {name}: {why}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as folder:
        shared = Given(
            folder=Path(folder),
            pythons=pythons,
            lacking=lacking,
            gpu=given.gpu,
            until_s=began_s + 60 * given.minutes,
            limit_s=given.step_limit_s,
        )
        rows = all_done(steps, shared)
    print(table(rows), flush=True)
    write(given.output, rows, lacking, time.monotonic() - began_s)


def all_done(steps: Sequence[Step], given: Given) -> list[Row]:
    """The rows of some steps; where somebody stops it, those that are there."""
    rows: list[Row] = []
    try:
        for step in steps:
            rows += done(step, given)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return rows


def chosen(names: str | None) -> list[Step]:
    """The steps that were asked for, `facts` always among them, for it finds the card."""
    if not names:
        return [step for step in STEPS if not step.on_request]
    wanted = {FACTS, *names.split(",")}
    if unknown := sorted(wanted - BY_NAME.keys()):
        raise SystemExit(f"error: unknown step '{unknown[0]}' (--steps): --list names them")
    return [step for step in STEPS if step.name in wanted]


def interpreters(asked: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Framework -> its interpreter, and what is missing with the reason."""
    found = dict(word.split("=", 1) for word in asked)
    if unknown := sorted(found.keys() - FRAMEWORKS.keys()):
        raise SystemExit(
            f"error: unknown framework '{unknown[0]}' (--python): {', '.join(FRAMEWORKS)}"
        )
    lacking = {
        name: "not installed for this Python"
        for name in FOR_STEPS
        if not importlib.util.find_spec(name)
    }
    for framework, (modules, environments) in FRAMEWORKS.items():
        places = (
            [found[framework]] if framework in found else [sys.executable, *built(environments)]
        )
        having = [place for place in places if has(place, modules.split())]
        if having:
            found[framework] = having[0]
        else:
            found.pop(framework, None)
            lacking[framework] = f"no Python here has all of: {modules}"
    return found, lacking


def built(environments: Sequence[str]) -> list[str]:
    """Interpreters of those locked environments that are built."""
    folders = [environment.env_dir(name) for name in environments]
    return [
        str(folder / "bin/python") for folder in folders if (folder / environment.MARKER).is_file()
    ]


def has(python: str, modules: Sequence[str]) -> bool:
    """Whether an interpreter finds all of some modules; none is imported."""
    try:
        return (
            subprocess.run(
                [python, "-c", HAS, *modules], timeout=60, capture_output=True
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def done(step: Step, given: Given) -> list[Row]:
    """The rows of one step, done or skipped; one of them says so where it did not come to its end."""
    print(f"{step.name}: {step.asks} ...", file=sys.stderr, flush=True)
    reason = why_not(step, given)
    if reason:
        return [Row(step.name, step.asks, scrubbed(reason), "", SKIPPED, 0.0)]
    began_s = time.monotonic()
    limit_s = min(step.limit_s, given.limit_s, given.until_s - began_s)
    folder = given.folder / step.name
    folder.mkdir()
    (folder / "given.json").write_text(
        json.dumps({"pythons": dict(given.pythons), "gpu": given.gpu})
    )
    fault = run_alone(step, folder, limit_s)
    rows = read_rows(folder / "rows.jsonl")
    if fault:
        spent_s = round(time.monotonic() - began_s, 2)
        rows.append(Row(step.name, step.asks, scrubbed(fault), "it comes to its end", NO, spent_s))
    return rows


def why_not(step: Step, given: Given) -> str:
    """Why a step cannot be done; empty where it can."""
    if step.needs and step.needs not in given.pythons:
        return f"{step.needs}: {given.lacking[step.needs]}"
    if step.card and not (given.folder / FACTS / "card.json").is_file():
        return f"no card is known: see the step '{FACTS}'"
    if given.until_s - time.monotonic() < 2 * GRACE_S:
        return "no time is left (--minutes)"
    return ""


def run_alone(step: Step, folder: Path, limit_s: float) -> str:
    """Do a step in a process of its own; what went wrong, or nothing. A process that hangs is left behind."""
    words = [sys.executable, __file__, "--alone", step.name, str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        status = ended(process, limit_s)
    said = last_line((folder / "log").read_text(errors="replace"))
    if status is None:
        return f"it was ended after {limit_s:.0f} s: {said}"
    return f"exit code {status}: {said}" if status else ""


def ended(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    """The exit code of a process; None where it had to be ended, with all that it started."""
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        end(process)
        return None
    except KeyboardInterrupt:
        end(process)
        raise


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        # A call that hangs in the driver cannot be ended at all; nobody waits for it longer than this.
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)


def do(step: Step, folder: Path) -> None:
    """What the process of one step does."""
    report = Report(folder / "rows.jsonl", step.name)
    given = json.loads((folder / "given.json").read_text())
    file = folder.parent / FACTS / "card.json"
    card = json.loads(file.read_text()) if file.is_file() else {}
    bench = Bench(folder, report, card, given["pythons"], given["gpu"])
    report.attempt(step.asks, step.work, bench)


def write(file: Path, rows: Sequence[Row], lacking: Mapping[str, str], took_s: float) -> None:
    """All rows in one file."""
    content = {
        "schema": SCHEMA,
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "took_s": round(took_s, 1),
        "missing": dict(lacking),
        "rows": [asdict(row) for row in rows],
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten: {file}")
    except OSError as error:
        print(f"\nnot written: {file}: {error.strerror}; the table above has everything")


if __name__ == "__main__":
    main()
