"""The engine protocol (docs/protocol.md) for engines written in Python: command line, data, events.

It needs the standard library and numpy only, so that it works in every engine's environment. Of the
core it imports `evenground.networks`, which needs no more.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[3] / "src"))

from evenground.networks import NETWORKS, smallest_side_px, too_small

ACCELERATORS = ("cpu", "cuda")
MAX_REASON_CHARACTERS = 600
Option = bool | int | float | str
Gpu = TypeVar("Gpu")


class EngineError(Exception):
    """A mistake that the user can fix: what is wrong, where, and what to do about it."""

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(" ".join(f"{what} ({where}): {fix}".split()))


def cli(main: Callable[[], None]) -> None:
    """Run `main`; an EngineError becomes one line on standard error and exit code 1."""
    try:
        main()
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


# ---------------------------------------------------------------- command line


def training_arguments(options: Mapping[str, Option]) -> argparse.Namespace:
    """Parse the command line of a training; `options` are the engine's own with their defaults.

    In the result, `options` is a dict with every option, of the type of its default.
    Raises EngineError for a wrong command line.
    """
    parser = _shared_arguments("Train one network and write its events.")
    parser.add_argument("--epochs", type=_count, required=True)
    parser.add_argument(
        "--linger-s", type=float, default=0.0, help="stay alive so long after the work"
    )
    parser.add_argument("--events", type=Path, required=True, help="JSON lines are appended to it")
    parser.add_argument("--train-limit", type=_count, help="train on the first N examples only")
    parser.add_argument("--test-limit", type=_count, help="evaluate the first N test examples only")
    return _with_options(parser.parse_args(), options)


def parity_arguments(options: Mapping[str, Option]) -> argparse.Namespace:
    """Parse the command line of the parity test; options and errors as in `training_arguments`."""
    parser = _shared_arguments("Train some steps without dropout and write every step's loss.")
    parser.add_argument("--steps", type=_count, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file with the results")
    parser.add_argument("--weights", type=Path, help="folder of initial weights; default: own")
    parser.add_argument("--export-weights", type=Path, help="write the initial weights there")
    return _with_options(parser.parse_args(), options)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise EngineError, which `cli` prints as one line, instead of printing the usage."""
        raise EngineError(message, "command line", "docs/protocol.md has every option")


def _shared_arguments(description: str) -> argparse.ArgumentParser:
    parser = _Parser(description=description, allow_abbrev=False)
    parser.add_argument("--dataset", type=Path, required=True, help="prepared folder")
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--batch-size", type=_count, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=_count, required=True)
    parser.add_argument("--accelerator", choices=ACCELERATORS, required=True)
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _with_options(args: argparse.Namespace, defaults: Mapping[str, Option]) -> argparse.Namespace:
    """Replace the texts `args.option` by the dict `args.options`."""
    options = dict(defaults)
    for text in args.option:
        key, equals, value = text.partition("=")
        if key not in defaults or not equals:
            known = ", ".join(defaults) or "none"
            raise EngineError(
                f"unknown option '{text}'", "--option", f"give KEY=VALUE, KEY of: {known}"
            )
        options[key] = _typed(key, value, defaults[key])
    del args.option
    args.options = options
    return args


def _typed(key: str, text: str, default: Option) -> Option:
    """The value of an option, of the type of its default."""
    kind = type(default)
    # bool("false") would be true.
    wanted = "true or false" if kind is bool else kind.__name__
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        raise EngineError(
            f"'{text}' is not {wanted}", f"--option {key}", f"its default is {default}"
        ) from None


# --------------------------------------------------------------------- devices


def hide_gpus() -> None:
    """Hide all GPUs from the libraries of this process, so that none creates a context on one."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def one_gpu(framework: str, gpus: Sequence[Gpu], why_none: Callable[[], str]) -> Gpu:
    """Return the one GPU that a framework sees; raises EngineError if it sees none or several.

    `why_none` returns the framework's own message about a missing GPU.
    """
    if not gpus:
        what = f"{framework} finds no GPU: {why_none()[:MAX_REASON_CHARACTERS]}"
        raise EngineError(what, "--accelerator cuda", "fix that, or take --accelerator cpu")
    if len(gpus) > 1:
        fix = "set CUDA_VISIBLE_DEVICES to the UUID of one, as nvidia-smi -L lists them"
        raise EngineError(f"{framework} sees {len(gpus)} GPUs", "--accelerator cuda", fix)
    return gpus[0]


# ------------------------------------------------------------------------ data


@dataclass(frozen=True)
class Split:
    """Images float32 (N,H,W,C), every pixel divided by 255; labels int32 (N,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset in memory, as the specification feeds it to a network."""

    train: Split
    test: Split
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of one image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels


def load_dataset(
    folder: Path,
    network: str,
    batch_size: int,
    train_limit: int | None = None,
    test_limit: int | None = None,
) -> Dataset:
    """Read the prepared dataset in `folder`, or the first examples of its splits, for a network.

    Raises EngineError if a file is missing or broken, if files disagree, if the images are too
    small for the network, or if there is no full batch.
    """
    try:
        classes = len(json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["classes"])
        train = _split(folder, "train", classes, train_limit)
        test = _split(folder, "test", classes, test_limit)
        if train.images.shape[1:] != test.images.shape[1:]:
            raise ValueError(f"pictures of {train.images.shape[1:]} and of {test.images.shape[1:]}")
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"cannot read the dataset: {error}", str(folder), "prepare it again"
        ) from None
    dataset = Dataset(train=train, test=test, classes=classes)
    height, width, _ = dataset.shape
    if what := too_small(network, height, width):
        smallest = smallest_side_px(network)
        raise EngineError(what, str(folder), f"give pictures of {smallest}x{smallest} or more")
    if len(train.images) < batch_size:
        fix = f"give at most {len(train.images)}"
        raise EngineError("there is no full batch", f"--batch-size {batch_size}", fix)
    return dataset


def _split(folder: Path, name: str, classes: int, limit: int | None) -> Split:
    """The first `limit` examples of a split; ValueError if its arrays are broken."""
    pixels = _array(folder / f"{name}_images.npy", dimensions=4)[:limit]
    labels = _array(folder / f"{name}_labels.npy", dimensions=1)[:limit]
    if len(pixels) != len(labels):
        raise ValueError(f"{name}: {len(pixels)} images, {len(labels)} labels")
    if labels.max() >= classes:
        raise ValueError(f"{name}_labels.npy: label {labels.max()}, but {classes} classes")
    images = np.divide(pixels, np.float32(255), dtype=np.float32)
    return Split(images=images, labels=labels.astype(np.int32))


def _array(path: Path, dimensions: int) -> np.ndarray:
    array = np.load(path, allow_pickle=False)
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise ValueError(
            f"{path.name}: {array.dtype} {array.shape}, not uint8 of {dimensions} dimensions"
        )
    if array.size == 0:
        raise ValueError(f"{path.name}: it is empty")
    return array


# ---------------------------------------------------------------------- events


class Events:
    """Appends events to a file, one JSON object per line, each flushed as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event now. The device must have finished what the event reports."""
        line = {"event": event, "t_unix_ns": time.time_ns(), "t_mono_ns": time.monotonic_ns()}
        for key, value in fields.items():
            # JSON has no NaN and no infinity.
            not_finite = isinstance(value, float) and not math.isfinite(value)
            line[key] = None if not_finite else value
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()


# ------------------------------------------------- what is the same in all trainings


def start(
    engine: str, versions: Mapping[str, str], device: str, args: argparse.Namespace
) -> Events:
    """Open the file of events and write the first one; `device` is `cpu` or `cuda:NAME`."""
    events = Events(args.events)
    events.emit("start", engine=engine, versions=versions, device=device, options=args.options)
    return events


def load(args: argparse.Namespace, events: Events) -> Dataset:
    """Read the dataset of a training, with the events around it; raises as `load_dataset`."""
    events.emit("load_start")
    data = load_dataset(
        args.dataset, args.network, args.batch_size, args.train_limit, args.test_limit
    )
    train_examples, test_examples = len(data.train.images), len(data.test.images)
    events.emit("load_end", train_examples=train_examples, test_examples=test_examples)
    return data


def training_starts(args: argparse.Namespace, parameters: int, events: Events) -> None:
    """Write the event `train_start`; `parameters` is the number of trained weights."""
    events.emit(
        "train_start",
        seed=args.seed,
        epochs=args.epochs,
        batch_size=args.batch_size,
        network=args.network,
        parameters=parameters,
    )


def evaluate(predict: Callable[[np.ndarray], np.ndarray], test: Split, events: Events) -> None:
    """Count the correct answers on all test examples, with the events around it.

    `predict` takes images (N,H,W,C) and returns logits (N, classes).
    """
    events.emit("evaluate_start")
    answers = predict(test.images).argmax(axis=1)
    correct = int((answers == test.labels).sum())
    examples = len(answers)
    events.emit("evaluate_end", accuracy=correct / examples, correct=correct, examples=examples)


def finish(args: argparse.Namespace, events: Events) -> None:
    """Keep what the process holds for a while, so that it is measured; write the last events."""
    time.sleep(args.linger_s)
    events.emit("linger_end", linger_s=args.linger_s)
    events.emit("end")


# --------------------------------------------------------------- parity's files


def initial_weights(
    args: argparse.Namespace, own: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """The weights of `--weights`, else the network's `own`; written to `--export-weights`.

    Both are by canonical name. Raises EngineError if `--weights` has other names or shapes.
    """
    weights = own
    if args.weights:
        weights = load_weights(args.weights)
        _check_shapes(weights, own)
    if args.export_weights:
        save_weights(args.export_weights, weights)
    return weights


def load_weights(folder: Path) -> dict[str, np.ndarray]:
    """Read weights by canonical name from files `NAME.npy`; raises EngineError if there is none."""
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise EngineError("no weights", str(folder), "write them with --export-weights")
    return {file.stem: np.load(file, allow_pickle=False) for file in files}


def _check_shapes(weights: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]) -> None:
    """EngineError for the first weight whose shape is not that of the network's `own`."""
    shapes = {name: values.shape for name, values in weights.items()}
    own_shapes = {name: values.shape for name, values in own.items()}
    for name in sorted(shapes.keys() | own_shapes.keys()):
        shape, own_shape = shapes.get(name), own_shapes.get(name)
        if shape != own_shape:
            raise EngineError(
                f"weight '{name}' has shape {shape}, the network's has {own_shape}",
                "--weights",
                "give the weights of this network on this dataset",
            )


def save_weights(folder: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write weights by canonical name, one `NAME.npy` each, as float32."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in weights.items():
        np.save(folder / f"{name}.npy", np.asarray(values, np.float32))


def write_parity(
    path: Path, losses: Sequence[float], statistics: Mapping[str, np.ndarray], logits: np.ndarray
) -> None:
    """Write what the parity test compares.

    `losses` has one number per step, `statistics` the moving ones by canonical name, `logits` is
    (N, classes) in inference mode.
    """
    lists = {name: np.asarray(values).tolist() for name, values in sorted(statistics.items())}
    content = {
        "schema": 1,
        "losses": [float(loss) for loss in losses],
        "statistics": lists,
        "logits": np.asarray(logits).tolist(),
    }
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
