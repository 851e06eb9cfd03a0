#!/usr/bin/env python3
"""What the harness costs: an engine's training with sidecar and events against the bare framework.

By default inside one training: epochs with the engine's events and a sampling sidecar take turns with bare
ones during which the sidecar is stopped, so that a machine whose speed drifts by several per cent still
shows tenths of one. The sidecar's start, which comes once, is added as a share of a full training's CPU.

The full training is the engine's own network, optimiser and data without events, sidecar or plan. CPU seconds
are the kernel's, of all processes (user + system).
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from scipy import stats

import _path
from environment import build
from evenground.config import EngineChoice
from evenground.cpus.choice import choose
from evenground.engines import Engine, load_engines
from evenground.errors import cli
from evenground.files import read_json
from evenground.runs.command import Work
from evenground.runs.variables import of_an_engine
from evenground.sidecar.cpus import list_text

BARE = {
    "keras": """
import sys; sys.path.insert(0, "scripts/engines/keras")
import device, evenground_engine as protocol, network, train
given = protocol.training_arguments(train.OPTIONS)
device.configure(given)
data = protocol.load_dataset(args.dataset, args.network, args.batch_size, args.train_limit)
model = network.build(args.network, data.shape, data.classes)
network.compile_model(model, args.learning_rate)
network.fit(model, data.train.images, data.train.labels, args.batch_size, args.epochs, [])
network.predict(model, data.test.images, args.batch_size)
""",
    "jax": """
import sys; sys.path.insert(0, "scripts/engines/jax")
import device, evenground_engine as protocol, jax, train
from network import Network, initialise
from training import make_step, new_state, predict
given = protocol.training_arguments(train.OPTIONS)
device.configure(given)
data = protocol.load_dataset(args.dataset, args.network, args.batch_size, args.train_limit)
network = Network(args.network, data.shape, data.classes, convolution=device.convolution(given))
step, state = make_step(network, args.learning_rate), new_state(*initialise(network, args.seed), args.seed)
size = args.batch_size
for _ in range(args.epochs):
    for first in range(0, len(data.train.images) // size * size, size):
        state = step(state, data.train.images[first : first + size], data.train.labels[first : first + size])
predict(network, jax.block_until_ready(state), data.test.images, size)
""",
}


TURNS = """
import json, os, signal, sys, time
def take_turns(bare, harness, seconds, result):
    sidecar, pairs = os.getppid(), []
    clocks = lambda: (time.process_time(), time.clock_gettime((~sidecar << 3) | 2), time.monotonic())
    bare(); harness()
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            pair = {}
            for on in (False, True) if len(pairs) % 2 else (True, False):
                os.kill(sidecar, signal.SIGCONT if on else signal.SIGSTOP)
                before = clocks()
                (harness if on else bare)()
                pair["on" if on else "off"] = [now - then for now, then in zip(clocks(), before)]
            pairs.append(pair)
    finally:
        os.kill(sidecar, signal.SIGCONT)
    with open(result, "w") as file: json.dump(pairs, file)
seconds, result = float(sys.argv.pop(1)), sys.argv.pop(1)
"""
EPOCHS = {
    "keras": """
import sys; sys.path.insert(0, "scripts/engines/keras")
import device, evenground_engine as protocol, network, train
given = protocol.training_arguments(train.OPTIONS)
device.configure(given)
data = protocol.load_dataset(args.dataset, args.network, args.batch_size, args.train_limit)
model = network.build(args.network, data.shape, data.classes)
network.compile_model(model, args.learning_rate)
events = protocol.Events(args.events)
def bare(): network.fit(model, data.train.images, data.train.labels, args.batch_size, 1, [])
def harness(): train.train(model, data, given, events)
take_turns(bare, harness, seconds, result)
""",
    "jax": """
import sys; sys.path.insert(0, "scripts/engines/jax")
import device, evenground_engine as protocol, jax, train
from network import Network, initialise
from training import make_step, new_state
given = protocol.training_arguments(train.OPTIONS)
device.configure(given)
data = protocol.load_dataset(args.dataset, args.network, args.batch_size, args.train_limit)
network = Network(args.network, data.shape, data.classes, convolution=device.convolution(given))
step, state = make_step(network, args.learning_rate), new_state(*initialise(network, args.seed), args.seed)
events, size = protocol.Events(args.events), args.batch_size
def bare():
    global state
    for first in range(0, len(data.train.images) // size * size, size):
        state = step(state, data.train.images[first : first + size], data.train.labels[first : first + size])
    jax.block_until_ready(state)
def harness():
    global state
    state = jax.block_until_ready(train.train(step, state, data.train, given, events))
take_turns(bare, harness, seconds, result)
""",
}
# Examples that make an epoch of about a second.
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
# No home folder of its own: what is timed here reads and writes nothing there.
HOME = Path(tempfile.gettempdir())
SIDECAR = "import sys; sys.path.insert(0, 'src'); import evenground.sidecar.__main__"


def run(command: list[str], env: dict[str, str]) -> float:
    """Run `command` to its end and return the CPU seconds of all its processes; SystemExit when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=_path.ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if done.returncode:
        raise SystemExit(
            f"error: {command[0]} ended with {done.returncode}: {done.stderr.decode()[-500:]}"
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interpreter(engine: Engine) -> str:
    """The Python of the engine's environment."""
    return str(build(engine.file.environment or "workflow") / "bin" / "python")


def beside_sidecar(command: list[str], threads: int, rate_hz: float, scratch: Path) -> list[str]:
    """`command` with a sidecar, on the CPUs of a training; its summary will stand in `samples.json`."""
    options = ["run", "--rate-hz", repr(rate_hz), "--samples", str(scratch / "samples.csv")]
    options += ["--cpus", list_text(choose(threads).chosen)]
    return [sys.executable, "-I", "-c", SIDECAR, *options, "--", *command]


def measure(engine: Engine, work: Work, seconds: float, rate_hz: float) -> None:
    """Print one row: what the harness adds to the CPU and wall time of an epoch, with 95 % intervals."""
    env = of_an_engine(work.threads, HOME)
    examples = EPOCH_EXAMPLES[engine.name, work.network]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        work = replace(work, events=scratch / "events", options=engine.options)
        code = TURNS + EPOCHS[engine.name]
        turns = [interpreter(engine), "-c", code, repr(seconds), str(scratch / "pairs")]
        turns += replace(work, epochs=1, train_limit=examples).arguments()
        run(beside_sidecar(turns, work.threads, rate_hz, scratch), env)
        pairs = read_json(scratch / "pairs")
        summary = read_json(scratch / "samples.json")["summary"]
        bare_cpu_s = run(whole(engine, work), env)
    start_pct = 100 * (summary["sidecar_cpu_s"] - summary["sidecar_sampling_cpu_s"]) / bare_cpu_s
    # Of each epoch: CPU seconds of the job, of the sidecar, and wall seconds.
    job = interval_pct([pair["on"][0] / pair["off"][0] for pair in pairs])
    both = interval_pct([(pair["on"][0] + pair["on"][1]) / pair["off"][0] for pair in pairs])
    in_all = tuple(value + start_pct for value in both)
    wall = interval_pct([pair["on"][2] / pair["off"][2] for pair in pairs])
    start = f"{start_pct:+.2f} of {bare_cpu_s:.1f} s"
    cells = [
        engine.name,
        work.network,
        str(len(pairs)),
        shown(job),
        shown(both),
        start,
        shown(in_all),
    ]
    print(f"| {' | '.join(cells)} | {shown(wall)} |", flush=True)


def shown(interval_pct: tuple[float, ...]) -> str:
    """A mean and the ends of its interval as one cell."""
    mean, low, high = interval_pct
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def interval_pct(ratios: list[float]) -> tuple[float, float, float]:
    """Mean of the ratios' logarithms with its 95 % interval, as percent above one.

    A fifth at either end is left out of the mean, for another tenant's burst would decide it otherwise; the
    interval is that of Tukey and McLaughlin for such a mean (scipy.stats.mstats.trimmed_mean_ci).
    """
    logs = [math.log(ratio) for ratio in ratios]
    low, high = stats.mstats.trimmed_mean_ci(logs, limits=(0.2, 0.2), alpha=0.05)
    mean = float(stats.trim_mean(logs, 0.2))
    return 100 * math.expm1(mean), 100 * math.expm1(float(low)), 100 * math.expm1(float(high))


def whole(engine: Engine, work: Work) -> list[str]:
    """Command line of the bare training, which binds itself to the same CPUs."""
    bind = f"import os; os.sched_setaffinity(0, {choose(work.threads).chosen})\n"
    return [interpreter(engine), "-c", bind + BARE[engine.name], *work.arguments()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, required=True, help="a prepared folder")
    parser.add_argument("--network", choices=["mlp", "cnn"], required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long epochs take turns")
    parser.add_argument("--rate-hz", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    args = parser.parse_args()
    work = Work(
        dataset=args.dataset.resolve(),
        network=args.network,
        epochs=args.epochs,
        batch_size=32,
        learning_rate=1e-3,
        seed=1,
        threads=args.threads,
        accelerator="cpu",
        linger_s=0.0,
        events=Path(),
    )
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for engine in load_engines([EngineChoice(name=name) for name in sorted(BARE)], _path.ROOT):
        measure(engine, work, args.seconds, args.rate_hz)


if __name__ == "__main__":
    cli(main)
