"""What only TensorFlow does: finding the card, compiling for it anew, keeping data on it (B5, S5)."""

from __future__ import annotations

from pathlib import Path

from gpu_steps.bench import MIB, Bench, last_line, mib
from gpu_steps.engines import (
    LIMIT_S,
    THREADS,
    parity_module,
    python_of,
    read_events,
    script,
    training,
)
from gpu_steps.report import Failed, Skip

LIST = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
HELPED = """
import sys
sys.path.insert(0, sys.argv[1])
import device
print(len(device.visible_gpus()))
"""
# As many pictures as CIFAR-10 has.
EXAMPLES, BATCH_SIZE = 50_000, 500
HELD_AT_LEAST_MIB = 500
COMPILED_AT_MOST_S = 60.0


def finds(bench: Bench) -> None:
    """Whether TensorFlow finds the card by itself, and with what the engine loads before."""
    python = bench.pythons["tensorflow"]
    alone = last_line(bench.run([python, "-c", LIST], 60.0))
    bench.report.row("GPUs that TensorFlow finds by itself", alone)
    helped = last_line(bench.run([python, "-c", HELPED, script("keras", ".")], 60.0))
    bench.report.row("with the libraries that the engine loads", helped, "1", helped == "1")


def compiled_anew(bench: Bench) -> None:
    """Seconds to the first batch with an empty and with a filled folder of compiled kernels (B5)."""
    cache = bench.folder / "kernels"
    for state in ("empty", "filled"):
        events = bench.folder / f"{state}.jsonl"
        bench.run(training(bench, "keras", events), LIMIT_S, CUDA_CACHE_PATH=str(cache))
        found = read_events(events)
        spent_s = (found["first_batch_end"]["t_unix_ns"] - found["train_start"]["t_unix_ns"]) / 1e9
        kept = (
            sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
            if cache.is_dir()
            else 0
        )
        good = state == "empty" or spent_s < COMPILED_AT_MOST_S
        figure = f"{spent_s:.1f} s, {kept / MIB:.1f} MiB in it afterwards"
        bench.report.row(f"first batch, {state} CUDA_CACHE_PATH", figure, "", good)


def feeds(bench: Bench) -> None:
    """GPU memory of a training on as many pictures as CIFAR-10 has, fed in both ways (S5)."""
    data = _like_cifar(bench)
    peaks = {}
    for feed in ("pipeline", "arrays"):
        events = bench.folder / f"{feed}.jsonl"
        words: list[str | Path] = [python_of(bench, "keras"), script("keras", "train.py")]
        words += [
            "--dataset",
            data,
            "--network",
            "mlp",
            "--epochs",
            "1",
            "--batch-size",
            str(BATCH_SIZE),
        ]
        words += [
            "--seed",
            "1",
            "--threads",
            THREADS,
            "--learning-rate",
            "0.001",
            "--accelerator",
            "cuda",
        ]
        words += ["--linger-s", "1", "--events", events, "--option", f"feed={feed}"]
        measured = bench.beside(words, feed)
        if measured.status != 0:
            raise Failed(last_line(measured.printed))
        peaks[feed], _ = measured.peak_memory()
    more_mib = (peaks["arrays"] - peaks["pipeline"]) / MIB
    figure = f"{mib(peaks['pipeline'])} with feed: pipeline, {mib(peaks['arrays'])} with arrays"
    wanted = f"arrays hold {HELD_AT_LEAST_MIB} MiB more"
    bench.report.row("keras: GPU memory by feed", figure, wanted, more_mib > HELD_AT_LEAST_MIB)


def _like_cifar(bench: Bench) -> Path:
    try:
        import numpy as np
    except ImportError:
        raise Skip("numpy is not installed for this Python") from None
    folder = bench.folder / "like-cifar"
    case = parity_module().Case("cifar", "mlp", (32, 32, 3), BATCH_SIZE, 1)
    parity_module().write_dataset(case, folder)
    random = np.random.default_rng(0)
    np.save(folder / "train_images.npy", random.integers(0, 256, (EXAMPLES, 32, 32, 3), np.uint8))
    np.save(folder / "train_labels.npy", random.integers(0, 10, EXAMPLES, np.uint8))
    return folder
