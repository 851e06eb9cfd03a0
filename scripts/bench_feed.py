#!/usr/bin/env python3
"""What feeding Keras costs: the engine through its pipeline and from arrays, beside bare scripts.

Every round trains each contender once, a process each, beginning with another one than the round before, so
that whatever else the machine does meets all alike; ratios are taken within a round. Only the training is
counted, from `train_start` to `train_end`: neither start-up nor evaluation. The same seed everywhere, so that
the losses of every epoch must be the same to the last digit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import _path
from environment import build
from evenground.analysis.statistics import contrast
from evenground.config import EngineChoice
from evenground.cpus.choice import choose
from evenground.engines import Engine, load_engines
from evenground.errors import EvengroundError, cli
from evenground.records.events import EpochEnd, Expected, check_file
from evenground.runs.command import Work
from evenground.runs.variables import of_an_engine
from feed_bench.watched import Cost, Sample, Window, cost, watch

BATCH_SIZE = 32
LEARNING_RATE = 0.001
SEED = 1
# No home folder of its own: what is timed here reads and writes nothing there.
HOME = Path(tempfile.gettempdir())
BARE = _path.ROOT / "scripts" / "feed_bench" / "bare.py"

ARRAYS, PIPELINE, BARE_FIT, BARE_STEPS = "arrays", "pipeline", "bare fit", "bare steps"
CONTENDERS = (ARRAYS, PIPELINE, BARE_FIT, BARE_STEPS)


@dataclass(frozen=True)
class Task:
    """What every contender trains: a network on a prepared folder."""

    network: str
    dataset: Path
    epochs: int
    examples: int | None
    threads: int


@dataclass(frozen=True)
class Training:
    """One contender's training: what it cost, and the loss of each of its epochs."""

    cost: Cost
    losses: tuple[float | None, ...]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mlp", type=Path, metavar="FOLDER", help="a prepared dataset for the MLP")
    parser.add_argument("--cnn", type=Path, metavar="FOLDER", help="a prepared dataset for the CNN")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--examples", type=int, help="trained on per epoch; default: all")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def tasks(args: argparse.Namespace) -> list[Task]:
    """The networks whose dataset was given; EvengroundError for none, or for a value that cannot be."""
    for name in ("rounds", "epochs", "examples", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise EvengroundError(f"{value} is too small", f"--{name}", "give at least 1")
    folders = {"mlp": args.mlp, "cnn": args.cnn}
    wanted = {network: folder for network, folder in folders.items() if folder}
    if not wanted:
        raise EvengroundError(
            "no dataset", "command line", "give --mlp FOLDER, --cnn FOLDER or both"
        )
    for network, folder in wanted.items():
        check_folder(network, folder, args.examples)
    return [
        Task(network, folder.resolve(), args.epochs, args.examples, args.threads)
        for network, folder in wanted.items()
    ]


def check_folder(network: str, folder: Path, examples: int | None) -> None:
    """EvengroundError where `folder` is no prepared dataset or there is no full batch."""
    if not (folder / "dataset.json").is_file():
        fix = "give a folder that scripts/prepare.py wrote"
        raise EvengroundError(f"no dataset.json in {folder}", f"--{network}", fix)
    if examples is not None and examples < BATCH_SIZE:
        raise EvengroundError(
            "there is no full batch", f"--examples {examples}", f"give at least {BATCH_SIZE}"
        )


def main() -> None:
    args = arguments()
    chosen = tasks(args)
    engine = load_engines([EngineChoice(name="keras")], _path.ROOT)[0]
    python = build(engine.file.environment or "keras") / "bin" / "python"
    found: dict[str, list[dict[str, Training]]] = {}
    for task in chosen:
        print(
            f"\n{header('network', 'round', 'contender', 'wall, s', 'CPU, s', 'idle, s', 'idle windows')}"
        )
        found[task.network] = rounds(task, args.rounds, engine, python)
    print(f"\n{header('network', 'ratio', 'wall', 'CPU')}")
    for network, measured in found.items():
        show_ratios(network, measured)
    for network, measured in found.items():
        show_losses(network, measured)


def rounds(task: Task, number: int, engine: Engine, python: Path) -> list[dict[str, Training]]:
    """Train every contender in every round and print a line for each training."""
    measured = []
    for index in range(number):
        first = index % len(CONTENDERS)
        trained = {}
        for name in CONTENDERS[first:] + CONTENDERS[:first]:
            trained[name] = train(name, task, engine, python)
            show_training(task.network, index + 1, name, trained[name].cost)
        measured.append(trained)
    return measured


def train(name: str, task: Task, engine: Engine, python: Path) -> Training:
    """One training of contender `name`; EvengroundError with its last line where it fails."""
    if name in (BARE_FIT, BARE_STEPS):
        return train_bare(name, task, python)
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.jsonl"
        work = Work(
            dataset=task.dataset,
            network=task.network,
            epochs=task.epochs,
            batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            seed=SEED,
            threads=task.threads,
            accelerator="cpu",
            linger_s=0.0,
            events=events,
            train_limit=task.examples,
            options={"feed": name},
        )
        samples, _ = run(name, [*engine.command(str(python)), *work.arguments()], task.threads)
        read = check_file(events, Expected(epochs=task.epochs))
    at_s = {event.event: event.t_unix_ns / 1e9 for event in read}
    losses = tuple(event.loss for event in read if isinstance(event, EpochEnd))
    return Training(cost(samples, at_s["train_start"], at_s["train_end"]), losses)


def train_bare(name: str, task: Task, python: Path) -> Training:
    """One training by the script without engine."""
    words = {
        "dataset": task.dataset,
        "network": task.network,
        "epochs": task.epochs,
        "seed": SEED,
        "threads": task.threads,
        "loop": name.removeprefix("bare "),
    }
    if task.examples is not None:
        words["examples"] = task.examples
    options = [word for key, value in words.items() for word in (f"--{key}", str(value))]
    samples, printed = run(name, [str(python), str(BARE), *options], task.threads)
    said = json.loads(printed.splitlines()[-1])
    ends_s = said["start_unix_ns"] / 1e9, said["end_unix_ns"] / 1e9
    return Training(cost(samples, *ends_s), tuple(said["losses"]))


def run(name: str, command: list[str], threads: int) -> tuple[list[Sample], str]:
    """Samples of the command's CPU clock and what it printed."""
    bind = partial(os.sched_setaffinity, 0, choose(threads).chosen)
    # Into files, for a pipe that nobody empties would stop the command.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            command,
            cwd=_path.ROOT,
            env=of_an_engine(threads, HOME),
            stdout=out,
            stderr=err,
            text=True,
            preexec_fn=bind,
        )
        samples = watch(process)
        status = process.wait()
        out.seek(0)
        err.seek(0)
        printed, complaint = out.read(), err.read()
    if status:
        last = (complaint.strip() or "no message").splitlines()[-1]
        raise EvengroundError(f"{name} failed: {last}", " ".join(command), "run it alone")
    return samples, printed


def header(*names: str) -> str:
    """The head of a table in Markdown."""
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def show_training(network: str, number: int, name: str, spent: Cost) -> None:
    """Print one line of the table of trainings."""
    windows = ", ".join(map(shown, spent.idle)) or "none"
    figures = f"{spent.wall_s:.2f} | {spent.cpu_s:.2f} | {spent.idle_s:.2f} | {windows}"
    print(f"| {network} | {number} | {name} | {figures} |", flush=True)


def shown(window: Window) -> str:
    """An idle window; where others had a core or more, the process may have been kept from running."""
    busy = f"others {window.others_cores:.1f}, host {window.stolen_cores:.1f} cores"
    return f"{window.start_s:.1f} to {window.end_s:.1f} s ({busy})"


def show_ratios(network: str, measured: list[dict[str, Training]]) -> None:
    """Print the pipeline's wall and CPU seconds over each other contender's, with 95 % intervals."""
    for base in (ARRAYS, BARE_FIT, BARE_STEPS):
        pairs = [(one[PIPELINE].cost, one[base].cost) for one in measured]
        wall = interval([new.wall_s / old.wall_s for new, old in pairs])
        cpu = interval([new.cpu_s / old.cpu_s for new, old in pairs])
        print(f"| {network} | {PIPELINE} / {base} | {wall} | {cpu} |")


def interval(ratios: list[float]) -> str:
    """Geometric mean of ratios within rounds, and Student's interval on their logarithms."""
    found = contrast([(1.0, ratios)], log=True)
    if found.reason:
        return f"{found.value:.3f} ({found.reason})"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def show_losses(network: str, measured: list[dict[str, Training]]) -> None:
    """Say whether every contender of every round had the same losses, to the last digit."""
    seen = {(name, one.losses) for trained in measured for name, one in trained.items()}
    if len({losses for _, losses in seen}) == 1:
        print(
            f"\n{network}: losses of every epoch the same in all trainings: {next(iter(seen))[1]}"
        )
        return
    print(f"\n{network}: LOSSES DIFFER:")
    for name, losses in sorted(seen):
        print(f"  {name}: {losses}")


if __name__ == "__main__":
    cli(main)
