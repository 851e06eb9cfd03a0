"""What the tests of engines share: which engines there are, their interpreters, how they are run."""

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

from evenground.runs.installed import ask

ROOT = Path(__file__).resolve().parents[2]
ENGINES = {path.parent.name: path.parent for path in sorted(ROOT.glob("scripts/engines/*/engine.yaml"))}
DUMMY = Path(__file__).parent / "dummy_shell"
REFERENCE = "keras"


@cache
def describe(folder: Path) -> dict[str, Any]:
    """The content of an engine's `engine.yaml`."""
    content: dict[str, Any] = yaml.safe_load((folder / "engine.yaml").read_text(encoding="utf-8"))
    return content


@cache
def interpreter(environment: str) -> str:
    """Python of a locked environment, built if it is not there yet."""
    command = [sys.executable, str(ROOT / "scripts" / "environment.py"), environment]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return f"{done.stdout.strip()}/bin/python"


@cache
def lacking(folder: Path) -> str:
    """Why an engine cannot train on this machine, as its own check says; empty where it can."""
    words = [word.format(python=sys.executable, folder=folder) for word in describe(folder).get("check", [])]
    return ask(tuple(words), ROOT) if words else ""


def command(folder: Path, key: str = "command") -> list[str]:
    """An engine's command line as the pipeline starts it; skips the test where it is not installed."""
    if lacking(folder):
        pytest.skip(f"{folder.name}: {lacking(folder)}")
    environment = describe(folder).get("environment")
    python = interpreter(environment) if environment else ""
    return [part.format(python=python, folder=folder) for part in describe(folder)[key]]


def start(words: list[str]) -> subprocess.Popen[str]:
    """Start a command in the repository root; what it prints is kept."""
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    variables = {**clean, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(
        words, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a started command; a failure shows what it printed."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, f"exit code {process.returncode}: {printed[-3000:]}"


def train(folder: Path, dataset: Path, events: Path, *more: str) -> subprocess.Popen[str]:
    """Start a training on the CPU with two threads."""
    given = ["--dataset", str(dataset), "--events", str(events), "--learning-rate", "0.001", *more]
    return start([*command(folder), *given, "--threads", "2", "--accelerator", "cpu"])


def parity(folder: Path, dataset: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    """Start an engine's part of the parity test on the CPU with two threads."""
    given = ["--dataset", str(dataset), "--output", str(output), *more]
    return start([*command(folder, "parity_command"), *given, "--threads", "2", "--accelerator", "cpu"])


def read(path: Path) -> dict[str, Any]:
    """A JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
