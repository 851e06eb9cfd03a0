#!/usr/bin/env python3
"""What the harness costs: an engine's training with sidecar and events against the bare framework, in turns.

The bare training is the engine's own network, optimiser and data without events, sidecar or plan.
CPU seconds are the kernel's, of all processes (user + system). On a noisy machine two trainings differ by
more than the harness costs, so the last column is its cost as the kernel accounts for it: the sidecar's own
CPU seconds, its start included, per CPU second of the training beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import _path
from environment import build
from evenground.config import EngineChoice
from evenground.engines import Engine, load_engines
from evenground.errors import cli
from evenground.files import read_json
from evenground.runs.command import Work, pinned, variables

BARE = {
    "keras": """
import sys; sys.path.insert(0, "scripts/engines/keras")
import device, evenground_engine as protocol, network, train
given = protocol.training_arguments(train.OPTIONS)
device.configure(given)
data = protocol.load_dataset(given.dataset, given.batch_size, given.train_limit)
model = network.build(given.network, data.shape, data.classes)
network.compile_model(model, given.learning_rate)
network.fit(model, data.train.images, data.train.labels, given.batch_size, given.epochs, [])
model.predict(data.test.images, batch_size=given.batch_size, verbose=0)
""",
    "jax": """
import sys; sys.path.insert(0, "scripts/engines/jax")
import device, evenground_engine as protocol, jax, train
from network import Network, initialise
from training import make_step, new_state, predict
given = protocol.training_arguments(train.OPTIONS)
device.configure(given)
data = protocol.load_dataset(given.dataset, given.batch_size, given.train_limit)
network = Network(given.network, data.shape, data.classes, convolution=device.convolution(given))
step, state = make_step(network, given.learning_rate), new_state(*initialise(network, given.seed), given.seed)
size = given.batch_size
for _ in range(given.epochs):
    for first in range(0, len(data.train.images) // size * size, size):
        state = step(state, data.train.images[first : first + size], data.train.labels[first : first + size])
predict(network, jax.block_until_ready(state), data.test.images, size)
""",
}


@dataclass(frozen=True)
class Cost:
    """CPU seconds of all processes, and wall seconds, of one training."""

    cpu_s: float
    wall_s: float


def cost_of(command: list[str], env: dict[str, str]) -> Cost:
    """Run `command` to its end; SystemExit when it fails."""
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=_path.ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f"error: {command[0]} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu_s, time.monotonic() - started_s)


def commands(engine: Engine, work: Work, rate_hz: float, scratch: Path) -> tuple[list[str], list[str]]:
    """Command lines of the bare training and of the same one under the harness."""
    python = str(build(engine.file.environment or "workflow") / "bin" / "python")
    bare = pinned([python, "-c", BARE[engine.name], *work.arguments()], work.threads)
    trained = pinned([*engine.command(python), *work.arguments()], work.threads)
    sidecar = [
        sys.executable,
        "-I",
        "-c",
        "import sys; sys.path.insert(0, 'src'); import evenground.sidecar.__main__",
    ]
    options = ["run", "--rate-hz", repr(rate_hz), "--samples", str(scratch / "samples.csv")]
    return bare, [*sidecar, *options, "--", *trained]


def measure(engine: Engine, work: Work, rounds: int, rate_hz: float) -> None:
    """Print one row: median CPU and wall seconds of both, the ratios pair by pair, the sidecar's share."""
    costs: list[tuple[Cost, Cost]] = []
    shares_pct: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        work = replace(work, events=Path(folder) / "events.jsonl", options=engine.options)
        bare, harness = commands(engine, work, rate_hz, Path(folder))
        cost_of(bare, variables(work.threads))
        for number in range(rounds):
            pair = {}
            for name in ("bare", "harness") if number % 2 == 0 else ("harness", "bare"):
                pair[name] = cost_of(bare if name == "bare" else harness, variables(work.threads))
            costs.append((pair["bare"], pair["harness"]))
            summary = read_json(Path(folder) / "samples.json")["summary"]
            shares_pct.append(100 * summary["sidecar_cpu_s"] / summary["cpu_s"])
    cells = []
    for field in ("cpu_s", "wall_s"):
        ratios = [getattr(second, field) / getattr(first, field) for first, second in costs]
        medians = [statistics.median(getattr(pair[side], field) for pair in costs) for side in (0, 1)]
        spread = f"({min(ratios):.3f} to {max(ratios):.3f})"
        cells.append(f"{medians[0]:.2f} | {medians[1]:.2f} | {statistics.median(ratios):.4f} {spread}")
    share = f"{statistics.median(shares_pct):.2f} % (at most {max(shares_pct):.2f} %)"
    print(f"| {engine.name} | {work.network} | {' | '.join(cells)} | {share} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, required=True, help="a prepared folder")
    parser.add_argument("--network", choices=["mlp", "cnn"], required=True)
    parser.add_argument("--engines", nargs="+", choices=sorted(BARE), default=sorted(BARE))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate-hz", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    given = parser.parse_args()
    work = Work(
        given.dataset.resolve(), given.network, given.epochs, 32, 1e-3, 1, given.threads, "cpu", 0.0, Path()
    )
    head = ["engine", "network", "bare CPU s", "harness CPU s", "ratio"]
    head += ["bare wall s", "harness wall s", "ratio", "sidecar's own CPU"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for engine in load_engines([EngineChoice(name=name) for name in given.engines], _path.ROOT):
        measure(engine, work, given.rounds, given.rate_hz)


if __name__ == "__main__":
    cli(main)
