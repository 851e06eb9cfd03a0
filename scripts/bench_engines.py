#!/usr/bin/env python3
"""Images per second of steady training: Keras, Keras with 32 steps per execution, and JAX, interleaved.

Every round trains each of them once, one after the other (A B C A B C ...), so that whatever else the
machine does meets all alike; ratios are taken within a round. Steady training is from the event
`first_batch_end` to `train_end`: neither loading nor compilation is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import _path
import environment
from evenground.config import EngineChoice
from evenground.engines import load_engines
from evenground.errors import EvengroundError, cli
from evenground.protocol.parity import Case, write_dataset
from evenground.records.events import EpochEnd, Expected, check_file

SHAPES = {"mlp": (28, 28, 1), "cnn": (32, 32, 3)}
GOALS = {("mlp", "jax"): 3.0, ("cnn", "jax"): 1.0}
BATCH_SIZE = 32


@dataclass(frozen=True)
class Contender:
    """An engine with options; `steps` are those done when its first batch event is written."""

    name: str
    engine: str
    options: dict[str, bool | int | float | str]
    steps: int = 1


CONTENDERS = (
    Contender("keras", "keras", {}),
    Contender("keras x32", "keras", {"steps_per_execution": 32}, 32),
    Contender("jax", "jax", {}),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument(
        "--images", type=int, help="trained on per epoch; default: 30000 (mlp), 6400 (cnn)"
    )
    parser.add_argument("--dataset", type=Path, help="a prepared folder; default: generated images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--accelerator", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, help="write every figure to this JSON file")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    measured: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for network in args.networks:
            measured[network] = interleaved(args, network, Path(scratch))
            show(network, measured[network])
    if args.output:
        args.output.write_text(
            json.dumps({"images_per_s": measured}, indent=1) + "\n", encoding="utf-8"
        )


def interleaved(args: argparse.Namespace, network: str, scratch: Path) -> dict[str, list[float]]:
    """Images per second of every contender in every round."""
    images = args.images or {"mlp": 30_000, "cnn": 6_400}[network]
    dataset = args.dataset or scratch / network
    if not args.dataset:
        write_dataset(Case(network, network, SHAPES[network], images, 1), dataset)
    found: dict[str, list[float]] = {contender.name: [] for contender in CONTENDERS}
    for number in range(args.rounds):
        for contender in CONTENDERS:
            events = scratch / f"{network}-{number}-{contender.name}.jsonl"
            work = [
                "--dataset",
                dataset,
                "--network",
                network,
                "--epochs",
                args.epochs,
                "--seed",
                number,
            ]
            work += [
                "--threads",
                args.threads,
                "--accelerator",
                args.accelerator,
                "--train-limit",
                images,
            ]
            train(contender, [str(word) for word in work], events)
            found[contender.name].append(images_per_s(events, contender, args.epochs))
        shown = ", ".join(f"{name} {rates[-1]:,.0f}" for name, rates in found.items())
        print(
            f"{network} round {number + 1} of {args.rounds}: {shown} images/s",
            file=sys.stderr,
            flush=True,
        )
    return found


def train(contender: Contender, work: list[str], events: Path) -> None:
    """Run one training to its end; EvengroundError with its last line where it fails."""
    choice = EngineChoice(name=contender.engine, options=contender.options)
    engine = load_engines([choice], _path.ROOT)[0]
    python = (
        environment.build(engine.file.environment) / "bin" / "python"
        if engine.file.environment
        else ""
    )
    command = [
        *engine.command(str(python)),
        *work,
        "--batch-size",
        str(BATCH_SIZE),
        "--learning-rate",
        "0.001",
    ]
    command += ["--linger-s", "0", "--events", str(events)]
    for key, value in contender.options.items():
        command += ["--option", f"{key}={value}"]
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=_path.ROOT, env=variables, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise EvengroundError(f"{contender.name} failed: {last}", " ".join(command), "run it alone")


def images_per_s(events: Path, contender: Contender, epochs: int) -> float:
    """Rate of the steps between the end of the first execution and the end of training."""
    found = check_file(events, Expected(epochs=epochs))
    at_ns = {event.event: event.t_unix_ns for event in found}
    steady_ns = at_ns["train_end"] - at_ns["first_batch_end"]
    epoch_images = next(event.images for event in found if isinstance(event, EpochEnd))
    images = epochs * epoch_images - contender.steps * BATCH_SIZE
    return images / (steady_ns / 1e9)


def show(network: str, found: dict[str, list[float]]) -> None:
    """Print median and range of every contender, and of its ratio to the first one round by round."""
    first = CONTENDERS[0].name
    print(f"\n{network}: images/s of steady training, median (range) of {len(found[first])} rounds")
    for name, rates in found.items():
        ratios = [rate / base for rate, base in zip(rates, found[first], strict=True)]
        line = f"  {name:10} {spread(rates, ',.0f'):32} {spread(ratios, '.2f'):22} x {first}"
        goal = GOALS.get((network, name))
        if goal:
            line += f"   goal {goal:g}: {'met' if statistics.median(ratios) >= goal else 'MISSED'}"
        print(line, flush=True)


def spread(values: list[float], form: str) -> str:
    """Median and range as text."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    cli(main)
