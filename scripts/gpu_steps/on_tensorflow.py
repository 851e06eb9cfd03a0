"""Checks of TensorFlow: finding the card, compiling kernels for it, keeping data on it (B5, S5)."""

from __future__ import annotations

from pathlib import Path

from gpu_steps.bench import MIB, Bench, last_line, mib
from gpu_steps.engines import LIMIT_S, parity_module, read_events, script, trained, training

LIST = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
HELPED = """
import sys
sys.path.insert(0, sys.argv[1])
import device
print(len(device.visible_gpus()))
"""
# As many examples as CIFAR-10 has.
EXAMPLES, BATCH_SIZE = 50_000, 500
MIN_HELD_MIB = 500
MAX_FIRST_BATCH_S = 60.0


def finds(bench: Bench) -> None:
    """Whether TensorFlow finds the card by itself, and with the engine's help."""
    python = bench.pythons["tensorflow"]
    alone = last_line(bench.run([python, "-c", LIST], 60.0))
    bench.report.row("GPUs that TensorFlow finds by itself", alone)
    helped = last_line(bench.run([python, "-c", HELPED, script("keras", ".")], 60.0))
    bench.report.row("with the libraries that the engine loads", helped, "1", helped == "1")


def kernels(bench: Bench) -> None:
    """Seconds to the first batch with an empty and a filled folder of compiled kernels (B5)."""
    cache = bench.folder / "kernels"
    for state in ("empty", "filled"):
        events_file = bench.folder / f"{state}.jsonl"
        bench.run(training(bench, "keras", events_file), LIMIT_S, CUDA_CACHE_PATH=str(cache))
        events = read_events(events_file)
        begin_ns = events["train_start"]["t_unix_ns"]
        spent_s = (events["first_batch_end"]["t_unix_ns"] - begin_ns) / 1e9
        # Nothing if the folder was not made.
        kept_bytes = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        good = state == "empty" or spent_s < MAX_FIRST_BATCH_S
        figure = f"{spent_s:.1f} s, {kept_bytes / MIB:.1f} MiB in it afterwards"
        bench.report.row(f"first batch, {state} CUDA_CACHE_PATH", figure, "", good)


def feeds(bench: Bench) -> None:
    """GPU memory of a training on as many examples as CIFAR-10 has, with both feeds (S5)."""
    data = _like_cifar(bench)
    # Of an option given twice the last value counts.
    options = ["--dataset", str(data), "--network", "mlp", "--batch-size", str(BATCH_SIZE)]
    peaks = {}
    for feed in ("pipeline", "arrays"):
        measured = trained(bench, "keras", feed, *options, "--option", f"feed={feed}")
        peaks[feed], _ = measured.peak_memory()
    more_mib = (peaks["arrays"] - peaks["pipeline"]) / MIB
    figure = f"{mib(peaks['pipeline'])} with feed: pipeline, {mib(peaks['arrays'])} with arrays"
    expected = f"arrays hold {MIN_HELD_MIB} MiB more"
    bench.report.row("keras: GPU memory by feed", figure, expected, more_mib > MIN_HELD_MIB)


def _like_cifar(bench: Bench) -> Path:
    """A prepared dataset of random images, as many and as large as CIFAR-10's."""
    parity = parity_module()
    import numpy as np

    folder = bench.folder / "like-cifar"
    # It also writes the test examples and dataset.json.
    parity.write_dataset(parity.Case("cifar", "mlp", (32, 32, 3), BATCH_SIZE, 1), folder)
    random = np.random.default_rng(0)
    np.save(folder / "train_images.npy", random.integers(0, 256, (EXAMPLES, 32, 32, 3), np.uint8))
    np.save(folder / "train_labels.npy", random.integers(0, 10, EXAMPLES, np.uint8))
    return folder
