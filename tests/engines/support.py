"""What the tests of engines share: which engines there are, their interpreters, how they are run.

EVENGROUND_TEST_ACCELERATOR is what they compute on: `cpu`, or `cuda`, with the environments for GPUs and the
card that CUDA_VISIBLE_DEVICES names (docs/gpu.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenground.environments.build import LARGE, env_dir, fault
from evenground.protocol.parity import TOLERANCES, Tolerance
from evenground.runs.installed import failure_of

ROOT = Path(__file__).resolve().parents[2]
ENGINES = {
    path.parent.name: path.parent for path in sorted(ROOT.glob("scripts/engines/*/engine.yaml"))
}
DUMMY = Path(__file__).parent / "dummy_shell"
REFERENCE = "keras"
ACCELERATOR = os.environ.get("EVENGROUND_TEST_ACCELERATOR", "cpu")
if ACCELERATOR not in TOLERANCES:
    raise ValueError(
        f"EVENGROUND_TEST_ACCELERATOR is '{ACCELERATOR}': give one of {', '.join(TOLERANCES)}"
    )


@cache
def describe(folder: Path) -> dict[str, Any]:
    """The content of an engine's `engine.yaml`."""
    content: dict[str, Any] = yaml.safe_load((folder / "engine.yaml").read_text(encoding="utf-8"))
    return content


@cache
def interpreter(environment: str, accelerator: str = "cpu") -> str:
    """Python of a locked environment, or of the one for GPUs beside it, built if it is not there yet."""
    name = f"{environment}-cuda" if accelerator == "cuda" else environment
    command = [sys.executable, str(ROOT / "scripts" / "environment.py"), name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return f"{done.stdout.strip()}/bin/python"


@cache
def lacking(folder: Path) -> str:
    """Why an engine cannot train on this machine, as its own check says; empty where it can.

    Nor does one whose environment takes long to download and is not built yet.
    """
    environment = describe(folder).get("environment")
    if environment in LARGE and fault(env_dir(environment)):
        return f"its environment is not built: python3 scripts/environment.py {environment}"
    words = [
        word.format(python=sys.executable, folder=folder)
        for word in describe(folder).get("check", [])
    ]
    return failure_of((*words, "--accelerator", ACCELERATOR), ROOT) if words else ""


def command(folder: Path, key: str = "command", accelerator: str = ACCELERATOR) -> list[str]:
    """An engine's command line as the pipeline starts it; skips the test where it is not installed."""
    if lacking(folder):
        pytest.skip(f"{folder.name}: {lacking(folder)}")
    environment = describe(folder).get("environment")
    python = interpreter(environment, accelerator) if environment else ""
    return [part.format(python=python, folder=folder) for part in describe(folder)[key]]


def start(words: list[str], **variables: str) -> subprocess.Popen[str]:
    """Start a command in the repository root; what it prints is kept."""
    clean = {
        key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    env = {**clean, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "2", **variables}
    return subprocess.Popen(
        words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a started command; a failure shows what it printed."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, f"exit code {process.returncode}: {printed[-3000:]}"


def train(folder: Path, dataset: Path, events: Path, *more: str) -> subprocess.Popen[str]:
    """Start a training with two threads."""
    given = ["--dataset", str(dataset), "--events", str(events), "--learning-rate", "0.001", *more]
    return start([*command(folder), *given, "--threads", "2", "--accelerator", ACCELERATOR])


def parity(
    folder: Path, dataset: Path, output: Path, *more: str, accelerator: str = ACCELERATOR
) -> subprocess.Popen[str]:
    """Start an engine's part of the parity test with two threads."""
    given = ["--dataset", str(dataset), "--output", str(output), *more]
    words = command(folder, "parity_command", accelerator)
    return start([*words, *given, "--threads", "2", "--accelerator", accelerator])


def tolerance(case: str) -> Tolerance:
    """How far two engines may differ in a case of the parity test, on what they compute here."""
    return TOLERANCES[ACCELERATOR][case]


def read(path: Path) -> dict[str, Any]:
    """A JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
