#!/usr/bin/env python3
"""Measure the harness's cost: a training with sidecar and events against the bare framework.

Within one training, epochs with the engine's events and a sampling sidecar alternate with bare
epochs during which the sidecar is stopped: a machine whose speed drifts by several per cent still shows
tenths of one. The sidecar's start, which comes once, is added as a share of a full training's CPU.

The full training is the engine's own network, optimiser and data without events, sidecar or plan.
CPU seconds are the kernel's, of all processes (user + system).
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from scipy import stats

import _path
from evenground import sidecar
from evenground.config import EngineChoice
from evenground.cpus.choice import choose
from evenground.engines import Engine, load_engines
from evenground.environments.build import build
from evenground.errors import cli
from evenground.files import read_json
from evenground.runs.command import Work
from evenground.runs.variables import of_an_engine

# Run in an engine's environment. `bare` trains some epochs with the engine's network and data only.
SETUP = {
    "keras": """
import sys; sys.path.insert(0, "scripts/engines/keras")
import device, evenground_engine as protocol, network, train
args = protocol.training_arguments(train.OPTIONS)
device.configure(args)
data = protocol.load_dataset(args.dataset, args.network, args.batch_size, args.train_limit)
model = network.build(args.network, data.shape, data.classes)
network.compile_model(model, args.learning_rate)

def bare(epochs):
    network.fit(model, data.train.images, data.train.labels, args.batch_size, epochs, [])
""",
    "jax": """
import sys; sys.path.insert(0, "scripts/engines/jax")
import device, evenground_engine as protocol, jax, train
from network import Network, initialise
from training import make_step, new_state, predict
args = protocol.training_arguments(train.OPTIONS)
device.configure(args)
data = protocol.load_dataset(args.dataset, args.network, args.batch_size, args.train_limit)
way = device.convolution(args)
network = Network(args.network, data.shape, data.classes, convolution=way)
step = make_step(network, args.learning_rate)
parameters, statistics = initialise(network, args.seed)
state = new_state(parameters, statistics, args.seed)
size = args.batch_size

def bare(epochs):
    global state
    for _ in range(epochs):
        for first in range(0, len(data.train.images) // size * size, size):
            rows = slice(first, first + size)
            state = step(state, data.train.images[rows], data.train.labels[rows])
    jax.block_until_ready(state)
""",
}
# The rest of a full training without the harness.
FULL = {
    "keras": """
bare(args.epochs)
network.predict(model, data.test.images, args.batch_size)
""",
    "jax": """
bare(args.epochs)
predict(network, state, data.test.images, size)
""",
}
# `harness` is one epoch with the engine's events.
HARNESS = {
    "keras": """
events = protocol.Events(args.events)

def harness():
    train.train(model, data, args, events)
""",
    "jax": """
events = protocol.Events(args.events)

def harness():
    global state
    state = jax.block_until_ready(train.train(step, state, data.train, args, events))
""",
}
TAKE_TURNS = """
import json, os, signal, time
sidecar = os.getppid()

def clocks():
    # The second is of all threads of the sidecar; its id is built as by clock_getcpuclockid(3).
    return time.process_time(), time.clock_gettime((~sidecar << 3) | 2), time.monotonic()

def spent(on):
    os.kill(sidecar, signal.SIGCONT if on else signal.SIGSTOP)
    before = clocks()
    harness() if on else bare(1)
    return [now - then for now, then in zip(clocks(), before)]

# Neither counts the first compilation.
bare(1)
harness()
pairs = []
until = time.monotonic() + seconds
try:
    while time.monotonic() < until:
        # Which comes first alternates, so that a drift of the machine's speed cancels out.
        order = (True, False) if len(pairs) % 2 == 0 else (False, True)
        pairs.append({"on" if on else "off": spent(on) for on in order})
finally:
    os.kill(sidecar, signal.SIGCONT)
with open(result, "w") as file:
    json.dump(pairs, file)
"""
ARGUMENTS = """
import sys
seconds, result = float(sys.argv.pop(1)), sys.argv.pop(1)
"""
# Examples for an epoch of about a second.
EPOCH_EXAMPLES = {
    ("keras", "mlp"): 16_000,
    ("jax", "mlp"): 60_000,
    ("keras", "cnn"): 1_600,
    ("jax", "cnn"): 2_400,
}
HEAD = (
    "engine",
    "network",
    "pairs",
    "job's own CPU, %",
    "with the sidecar's, %",
    "its start, %",
    "in all, %",
    "wall, %",
)
RATE_HZ = 10.0
EPOCHS = 3
# Any folder will do: the commands timed here use no file of the home folder.
HOME = Path(tempfile.gettempdir())


def run(command: list[str], env: dict[str, str]) -> float:
    """Run a command and return the CPU seconds of its processes; raises SystemExit if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=_path.ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if done.returncode:
        message = done.stderr.decode()[-500:]
        raise SystemExit(f"error: {command[0]} ended with {done.returncode}: {message}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interpreter(engine: Engine) -> str:
    """The Python of the engine's environment."""
    return str(build(engine.file.environment or "workflow") / "bin" / "python")


def bare_training(engine: Engine, work: Work) -> list[str]:
    """Command line of the full training without the harness; it binds itself to the same CPUs."""
    bind = f"import os; os.sched_setaffinity(0, {choose(work.threads).chosen})\n"
    code = bind + SETUP[engine.name] + FULL[engine.name]
    return [interpreter(engine), "-c", code] + work.arguments()


def measure(engine: Engine, work: Work, seconds: float) -> None:
    """Print one row: what the harness adds to an epoch's CPU and wall time, with 95 % intervals.

    Raises SystemExit if a training fails.
    """
    env = of_an_engine(work.threads, HOME)
    examples = EPOCH_EXAMPLES[engine.name, work.network]
    code = ARGUMENTS + SETUP[engine.name] + HARNESS[engine.name] + TAKE_TURNS
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        work = replace(work, events=scratch / "events", options=engine.options)
        turns = [interpreter(engine), "-c", code, repr(seconds), str(scratch / "pairs")]
        turns += replace(work, epochs=1, train_limit=examples).arguments()
        summary = sidecar.run(
            turns,
            samples=scratch / "samples.csv",
            header=scratch / "samples.json",
            rate_hz=RATE_HZ,
            cpus=choose(work.threads).chosen,
            env=env,
            cwd=_path.ROOT,
            stdout=subprocess.DEVNULL,
        )
        if summary.status():
            raise SystemExit(
                f"error: {turns[0]} ended with {summary.status()}: see its errors above"
            )
        pairs = read_json(scratch / "pairs")
        bare_cpu_s = run(bare_training(engine, work), env)
    start_cpu_s = summary.sidecar_cpu_s - summary.sidecar_sampling_cpu_s
    start_pct = 100 * start_cpu_s / bare_cpu_s
    job, both, wall = [], [], []
    for pair in pairs:
        # Of each epoch: CPU seconds of the job, of the sidecar, and wall seconds.
        job_s, sidecar_s, wall_s = pair["on"]
        bare_job_s, _, bare_wall_s = pair["off"]
        job.append(job_s / bare_job_s)
        both.append((job_s + sidecar_s) / bare_job_s)
        wall.append(wall_s / bare_wall_s)
    both_pct = interval_pct(both)
    cells = [engine.name, work.network, str(len(pairs)), shown(interval_pct(job)), shown(both_pct)]
    cells.append(f"{start_pct:+.2f} of {bare_cpu_s:.1f} s")
    cells.append(shown([value + start_pct for value in both_pct]))
    cells.append(shown(interval_pct(wall)))
    print(f"| {' | '.join(cells)} |", flush=True)


def shown(interval: list[float]) -> str:
    """A mean and the ends of its interval, in percent, as one cell."""
    mean, low, high = interval
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def interval_pct(ratios: list[float]) -> list[float]:
    """Mean of the ratios' logarithms and the ends of its 95 % interval, as percent above one.

    The interval is that of Tukey and McLaughlin for a trimmed mean.
    """
    logs = [math.log(ratio) for ratio in ratios]
    # A fifth at either end is left out: another tenant's burst would decide the mean otherwise.
    low, high = stats.mstats.trimmed_mean_ci(logs, limits=(0.2, 0.2), alpha=0.05)
    mean = stats.trim_mean(logs, 0.2)
    return [100 * math.expm1(float(log)) for log in (mean, low, high)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, required=True, help="a prepared folder")
    parser.add_argument("--network", choices=["mlp", "cnn"], required=True)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long epochs alternate")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    args = parser.parse_args()
    work = Work(
        dataset=args.dataset.resolve(),
        network=args.network,
        epochs=EPOCHS,
        batch_size=32,
        learning_rate=1e-3,
        seed=1,
        threads=args.threads,
        accelerator="cpu",
        linger_s=0.0,
        events=Path(),
    )
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    choices = [EngineChoice(name=name) for name in sorted(SETUP)]
    for engine in load_engines(choices, _path.ROOT):
        measure(engine, work, args.seconds)


if __name__ == "__main__":
    cli(main)
