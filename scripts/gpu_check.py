#!/usr/bin/env python3
"""Check all that evenground assumes of NVIDIA GPUs on this machine's card, and write the results.

Nothing is installed, downloaded, reset or reconfigured. Each step runs in its own process with a
time limit; a step whose requirements are missing is skipped, with the reason. The exit status is 0
even if checks fail: the results are in the table and a JSON file, which names no host and no user.
docs/gpu.md says what to do with it.
"""

from __future__ import annotations

import argparse
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
from evenground.environments.build import MARKER, env_dir
from gpu_steps.bench import Bench, last_line
from gpu_steps.report import NO, SKIPPED, Report, Row, read_rows, scrubbed, table
from gpu_steps.steps import BY_NAME, FACTS, STEPS, Step

SCHEMA = 1
MINUTES = 8.0
GRACE_S = 3.0
# Framework -> the modules that a Python needs for it, and the locked environments that have them.
FRAMEWORKS = {
    "core": ("pydantic yaml pynvml", ("workflow", "test")),
    "jax": ("jax numpy", ("jax-cuda",)),
    "tensorflow": ("tensorflow keras numpy", ("keras-cuda",)),
    "torch": ("torch", ()),
}
HAS = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))"


@dataclass(frozen=True)
class Shared:
    """What all steps of one invocation share."""

    folder: Path
    pythons: Mapping[str, str]
    """Framework -> its interpreter."""
    missing: Mapping[str, str]
    """What is not there, with the reason."""
    gpu: str
    until_s: float
    """When the invocation should be over, on the monotonic clock."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", help="only these, by their names with commas between")
    parser.add_argument("--gpu", default="", help="UUID or index of the card (default: the first)")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="FRAMEWORK=PATH",
        help="the interpreter that has jax, tensorflow, torch, or what the core needs (core)",
    )
    output = _path.ROOT / "results" / "gpu-check.json"
    parser.add_argument(
        "--output", type=Path, default=output, help="default: results/gpu-check.json"
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time limit (default: 8)")
    # How this script calls itself for one step.
    parser.add_argument("--alone", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.alone:
        step, folder = args.alone
        do_step(BY_NAME[step], Path(folder))
    else:
        check(args)


def check(args: argparse.Namespace) -> None:
    """Do the steps, print the table and write the file."""
    began_s = time.monotonic()
    steps = chosen(args.steps)
    pythons, missing = interpreters(args.python)
    for name, why in missing.items():
        print(f"missing: {name}: {why}", flush=True)
    rows: list[Row] = []
    # A process that hangs in the driver may still write to the folder.
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as folder:
        shared = Shared(
            folder=Path(folder),
            pythons=pythons,
            missing=missing,
            gpu=args.gpu,
            until_s=began_s + 60 * args.minutes,
        )
        try:
            for step in steps:
                rows += rows_of(step, shared)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
    print(table(rows), flush=True)
    write(args.output, rows, missing, time.monotonic() - began_s)


def chosen(names: str | None) -> list[Step]:
    """The steps of `--steps`, and `facts`, which finds the card.

    Raises SystemExit for an unknown step.
    """
    if not names:
        return [step for step in STEPS if not step.on_request]
    wanted = {FACTS}
    wanted.update(names.split(","))
    if unknown := sorted(wanted - BY_NAME.keys()):
        known = ", ".join(BY_NAME)
        raise SystemExit(f"error: unknown step '{unknown[0]}' (--steps): give some of {known}")
    return [step for step in STEPS if step.name in wanted]


def interpreters(options: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Framework -> its interpreter, and what is missing -> why; `options` are those of `--python`.

    Raises SystemExit for an unknown framework.
    """
    named = dict(option.split("=", 1) for option in options)
    if unknown := sorted(named.keys() - FRAMEWORKS.keys()):
        known = ", ".join(FRAMEWORKS)
        raise SystemExit(f"error: unknown framework '{unknown[0]}' (--python): {known}")
    pythons, missing = {}, {}
    for framework, (modules, environments) in FRAMEWORKS.items():
        candidates = [sys.executable] + built(environments)
        if framework in named:
            candidates = [named[framework]]
        having = [python for python in candidates if has(python, modules.split())]
        if having:
            pythons[framework] = having[0]
        else:
            missing[framework] = f"no Python here has all of: {modules}"
    return pythons, missing


def built(environments: Sequence[str]) -> list[str]:
    """Interpreters of those of the locked environments that are built."""
    folders = [env_dir(name) for name in environments]
    return [str(folder / "bin/python") for folder in folders if (folder / MARKER).is_file()]


def has(python: str, modules: Sequence[str]) -> bool:
    """Whether an interpreter finds all of some modules; none is imported."""
    command = [python, "-c", HAS]
    command += modules
    try:
        return subprocess.run(command, timeout=60, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def rows_of(step: Step, shared: Shared) -> list[Row]:
    """Do a step, or skip it, and return its rows; if it fails, the last row has the reason."""
    print(f"{step.name}: {step.asks} ...", file=sys.stderr, flush=True)
    reason = why_not(step, shared)
    if reason:
        return [row_of(step, reason, "", SKIPPED, 0.0)]
    began_s = time.monotonic()
    limit_s = min(step.limit_s, shared.until_s - began_s)
    folder = shared.folder / step.name
    folder.mkdir()
    shared_values = {"pythons": dict(shared.pythons), "gpu": shared.gpu}
    (folder / "shared.json").write_text(json.dumps(shared_values))
    fault = run_alone(step, folder, limit_s)
    rows = read_rows(folder / "rows.jsonl")
    if fault:
        spent_s = round(time.monotonic() - began_s, 2)
        rows.append(row_of(step, fault, "it comes to its end", NO, spent_s))
    return rows


def row_of(step: Step, figure: str, expected: str, verdict: str, seconds: float) -> Row:
    """A row about a step as a whole."""
    return Row(
        step=step.name,
        asked=step.asks,
        figure=scrubbed(figure),
        expected=expected,
        verdict=verdict,
        seconds=seconds,
    )


def why_not(step: Step, shared: Shared) -> str:
    """Why a step cannot be done; empty if it can."""
    if step.needs and step.needs not in shared.pythons:
        return f"{step.needs}: {shared.missing[step.needs]}"
    if step.card and not (shared.folder / FACTS / "card.json").is_file():
        return f"no card is known: see the step '{FACTS}'"
    if shared.until_s - time.monotonic() < 2 * GRACE_S:
        return "no time is left (--minutes)"
    return ""


def run_alone(step: Step, folder: Path, limit_s: float) -> str:
    """Do a step in its own process, and return what went wrong; one that hangs is left behind."""
    command = [sys.executable, __file__, "--alone", step.name, str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        status = exit_code(process, limit_s)
    if status == 0:
        return ""
    printed = last_line((folder / "log").read_text(errors="replace"))
    if status is None:
        return f"it was ended after {limit_s:.0f} s: {printed}"
    return f"exit code {status}: {printed}"


def exit_code(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    """Wait for a process; None if it took too long and was ended. Raises KeyboardInterrupt."""
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
        # A process that hangs in the driver cannot be ended at all.
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)


def do_step(step: Step, folder: Path) -> None:
    """Do one step in this process."""
    report = Report(folder / "rows.jsonl", step.name)
    shared = json.loads((folder / "shared.json").read_text())
    file = folder.parent / FACTS / "card.json"
    card = {}
    if file.is_file():
        card = json.loads(file.read_text())
    bench = Bench(
        folder=folder,
        report=report,
        card=card,
        pythons=shared["pythons"],
        gpu=shared["gpu"],
    )
    report.attempt(step.asks, step.work, bench)


def write(file: Path, rows: Sequence[Row], missing: Mapping[str, str], took_s: float) -> None:
    """Write all rows to one file."""
    content = {
        "schema": SCHEMA,
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "took_s": round(took_s, 1),
        "missing": dict(missing),
        "rows": [asdict(row) for row in rows],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {file}")


if __name__ == "__main__":
    main()
