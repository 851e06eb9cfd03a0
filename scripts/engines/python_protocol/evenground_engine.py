"""The engine protocol (docs/protocol.md) for engines written in Python: command line, data, events.

Needs the standard library and numpy only, so that it works in every engine's environment; of the core it
reads what the networks leave of a picture.
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
REASON_CHARACTERS = 600
Option = bool | int | float | str
Gpu = TypeVar("Gpu")


class EngineError(Exception):
    """A mistake the user can fix: what is wrong, where, and what to do about it."""

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


def training_arguments(
    options: Mapping[str, Option], argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """The command line of a training; `options` are the engine's own with their defaults.

    In the result `options` is a dict with every option, typed as its default is.
    """
    parser = _shared_arguments("Train one network and write its events.")
    parser.add_argument("--epochs", type=_count, required=True)
    parser.add_argument(
        "--linger-s", type=float, default=0.0, help="stay alive so long after the work"
    )
    parser.add_argument("--events", type=Path, required=True, help="JSON lines are appended to it")
    parser.add_argument(
        "--train-limit", type=_count, default=None, help="train on the first N examples only"
    )
    parser.add_argument(
        "--test-limit", type=_count, default=None, help="judge the first N test examples only"
    )
    return _with_options(parser.parse_args(argv), options)


def parity_arguments(
    options: Mapping[str, Option], argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """The command line of the parity test; `options` as in `training_arguments`."""
    parser = _shared_arguments("Train some steps without dropout and write every step's loss.")
    parser.add_argument("--steps", type=_count, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file with the results")
    parser.add_argument(
        "--weights", type=Path, default=None, help="folder of initial weights; default: own"
    )
    parser.add_argument(
        "--export-weights", type=Path, default=None, help="write the initial weights there"
    )
    return _with_options(parser.parse_args(argv), options)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
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


def _with_options(
    arguments: argparse.Namespace, defaults: Mapping[str, Option]
) -> argparse.Namespace:
    options = dict(defaults)
    for given in arguments.option:
        key, equals, text = given.partition("=")
        if key not in defaults or not equals:
            raise EngineError(
                f"unknown option '{given}'",
                "--option",
                f"give KEY=VALUE, KEY of: {_known(defaults)}",
            )
        options[key] = _typed(key, text, defaults[key])
    del arguments.option
    arguments.options = options
    return arguments


def _known(defaults: Mapping[str, Option]) -> str:
    return ", ".join(defaults) or "none"


def _typed(key: str, text: str, default: Option) -> Option:
    kind = type(default)
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        wanted = "true or false" if kind is bool else kind.__name__
        raise EngineError(
            f"'{text}' is not {wanted}", f"--option {key}", f"its default is {default}"
        ) from None


# --------------------------------------------------------------------- devices


def hide_gpus() -> None:
    """Let no library of this process find a GPU, so that none makes a context on one."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def one_gpu(framework: str, found: Sequence[Gpu], why_none: Callable[[], str]) -> Gpu:
    """The one GPU that a framework sees; EngineError where it sees none or several.

    `why_none` is asked for the framework's own words where there is none.
    """
    if not found:
        what = f"{framework} finds no GPU: {why_none()[:REASON_CHARACTERS]}"
        raise EngineError(what, "--accelerator cuda", "fix that, or take --accelerator cpu")
    if len(found) > 1:
        fix = "set CUDA_VISIBLE_DEVICES to the UUID of one, as nvidia-smi -L lists them"
        raise EngineError(f"{framework} sees {len(found)} GPUs", "--accelerator cuda", fix)
    return found[0]


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
    """Read a prepared folder for a network.

    EngineError where a file is missing or broken, files disagree, the network cannot take pictures of this
    size, or there is no full batch.
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
    dataset = Dataset(train, test, classes)
    _refuse_small(dataset, folder, network)
    if len(train.images) < batch_size:
        fix = f"give at most {len(train.images)}"
        raise EngineError("there is no full batch", f"--batch-size {batch_size}", fix)
    return dataset


def _refuse_small(dataset: Dataset, folder: Path, network: str) -> None:
    height, width, _ = dataset.shape
    if what := too_small(network, height, width):
        smallest = smallest_side_px(network)
        raise EngineError(what, str(folder), f"give pictures of {smallest}x{smallest} or more")


def _split(folder: Path, name: str, classes: int, limit: int | None) -> Split:
    """The first `limit` images and labels of a split; ValueError where its arrays are broken."""
    pixels = _array(folder / f"{name}_images.npy", 4)[:limit]
    labels = _array(folder / f"{name}_labels.npy", 1)[:limit]
    if len(pixels) != len(labels):
        raise ValueError(f"{name}: {len(pixels)} images, {len(labels)} labels")
    if labels.max() >= classes:
        raise ValueError(f"{name}_labels.npy: label {labels.max()}, but {classes} classes")
    return Split(np.divide(pixels, np.float32(255), dtype=np.float32), labels.astype(np.int32))


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
        """Write one event now. Call it only after the device has finished what the event reports."""
        t_unix_ns, t_mono_ns = time.time_ns(), time.monotonic_ns()
        known = {key: _json_number(value) for key, value in fields.items()}
        line = {"event": event, "t_unix_ns": t_unix_ns, "t_mono_ns": t_mono_ns, **known}
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()


def _json_number(value: Any) -> Any:
    """JSON has no NaN: a number that is not finite is written as null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --------------------------------------------------------------- parity's files


def load_weights(folder: Path) -> dict[str, np.ndarray]:
    """Weights by their canonical names, one `NAME.npy` each; EngineError where there are none."""
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise EngineError("no weights", str(folder), "write them with --export-weights")
    return {file.stem: np.load(file, allow_pickle=False) for file in files}


def same_weights(
    given: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """`given` if its names and shapes are those of `own`, else an EngineError with the first difference."""
    for name in sorted({*given, *own}):
        left, right = (weights[name].shape if name in weights else None for weights in (given, own))
        if left != right:
            raise EngineError(
                f"weight '{name}' has shape {left}, the network's has {right}",
                "--weights",
                "give the weights of this network on this dataset",
            )
    return dict(given)


def save_weights(folder: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write weights by their canonical names, one `NAME.npy` each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in weights.items():
        np.save(folder / f"{name}.npy", np.asarray(values, np.float32))


def write_parity(
    path: Path, losses: Sequence[float], statistics: Mapping[str, np.ndarray], logits: np.ndarray
) -> None:
    """Write what the parity test compares: loss per step, moving statistics, inference logits."""
    content = {
        "schema": 1,
        "losses": [float(loss) for loss in losses],
        "statistics": {
            name: np.asarray(values).tolist() for name, values in sorted(statistics.items())
        },
        "logits": np.asarray(logits).tolist(),
    }
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
