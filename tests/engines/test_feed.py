"""Keras's feeds give the same batches, hence the same losses."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engines.support import ACCELERATOR, ENGINES, finish, interpreter, start, train
from evenground.protocol.parity import Case, write_dataset
from evenground.records.events import Event, Expected, Start, check_file

Array = npt.NDArray[np.float64]
IMAGES = np.random.default_rng(0).random((21, 3, 4, 2), dtype=np.float32)
LABELS = np.arange(21, dtype=np.int32)
PROBE = Path(__file__).with_name("probe_feed.py")
SHAPES = {"mlp": (7, 6, 1), "cnn": (12, 11, 3)}
WORK = [
    "--epochs",
    "2",
    "--batch-size",
    "8",
    "--seed",
    "7",
    "--linger-s",
    "0",
    "--train-limit",
    "45",
]


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    """What `probe_feed.py` saw of 21 images in batches of 8, two epochs."""
    folder = tmp_path_factory.mktemp("feed")
    np.savez(folder / "given.npz", images=IMAGES, labels=LABELS)
    finish(
        start(
            [interpreter("keras"), str(PROBE), str(folder / "given.npz"), str(folder / "found.npz")]
        )
    )
    with np.load(folder / "found.npz") as found:
        return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("through", ["pipeline", "arrays"])
def test_every_epoch_has_the_whole_batches_in_order(probed: dict[str, Array], through: str) -> None:
    wanted = IMAGES[:16].reshape(2, 8, 3, 4, 2)
    np.testing.assert_array_equal(probed[f"{through} images"], np.concatenate([wanted, wanted]))
    np.testing.assert_array_equal(
        probed[f"{through} labels"], np.tile(LABELS[:16].reshape(2, 8), (2, 1))
    )


@pytest.mark.slow
@pytest.mark.parametrize("through", ["pipeline", "arrays"])
def test_inference_has_the_short_last_batch_too(probed: dict[str, Array], through: str) -> None:
    np.testing.assert_array_equal(probed[f"{through} logits"], IMAGES)
    assert probed[f"{through} inferred"].tolist() == [8, 8, 5]


@pytest.mark.slow
def test_no_pipeline_is_autotuned(probed: dict[str, Array]) -> None:
    """For the thread that tunes is what the end of an epoch waits for (docs/specification.md)."""
    assert not probed["autotuned"].any() and len(probed["autotuned"]) == 2


@pytest.mark.slow
def test_only_arrays_put_the_images_where_it_computes() -> None:
    """64 images of 8x8 float32, and beside them in `fit` as many labels."""
    script = Path(__file__).with_name("probe_placement.py")
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [interpreter("keras"), str(script)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(done.stdout) == {
        "pipeline fit": 0,
        "pipeline predict": 0,
        "arrays fit": 64 * 8 * 8 * 4 + 64 * 4,
        "arrays predict": 64 * 8 * 8 * 4,
        "iterators": ["CPU:0", "CPU:0"],
    }


def events_of(folder: Path, dataset: Path, network: str, *options: str) -> list[Event]:
    """The events of a training with these options of Keras."""
    path = folder / f"{network} {' '.join(options)}.jsonl"
    words = [word for option in options for word in ("--option", option)]
    finish(train(ENGINES["keras"], dataset, path, "--network", network, *WORK, *words))
    return check_file(path, Expected(epochs=2))


def feed_of(events: list[Event]) -> object:
    assert isinstance(events[0], Start)
    return events[0].options["feed"]


def numbers(events: list[Event]) -> list[tuple[str, object, object]]:
    """Everything that the batches decide."""
    return [
        (event.event, getattr(event, "loss", None), getattr(event, "accuracy", None))
        for event in events
    ]


@pytest.mark.slow
@pytest.mark.skipif(ACCELERATOR != "cpu", reason="the same to the last digit on a processor only")
@pytest.mark.parametrize("network", SHAPES)
def test_both_feeds_give_the_same_numbers_and_events(network: str, tmp_path: Path) -> None:
    write_dataset(Case(network, network, SHAPES[network], 12, 5), tmp_path / "data")
    pipeline = events_of(tmp_path, tmp_path / "data", network)
    arrays = events_of(tmp_path, tmp_path / "data", network, "feed=arrays")
    by_four = events_of(tmp_path, tmp_path / "data", network, "steps_per_execution=4")
    assert numbers(pipeline) == numbers(arrays)
    assert [one for one in numbers(by_four) if one[0] == "epoch_end"] == [
        one for one in numbers(pipeline) if one[0] == "epoch_end"
    ]
    assert feed_of(arrays) == "arrays"


@pytest.mark.slow
def test_as_published_implies_arrays_and_says_so(tmp_path: Path) -> None:
    write_dataset(Case("mlp", "mlp", SHAPES["mlp"], 12, 5), tmp_path / "data")
    events = events_of(tmp_path, tmp_path / "data", "mlp", "as_published=true", "feed=pipeline")
    assert feed_of(events) == "arrays"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train.py", "parity.py"])
def test_an_unknown_feed_is_one_clear_line(script: str, tmp_path: Path) -> None:
    words = ["--dataset", str(tmp_path), "--network", "mlp", "--batch-size", "8", "--seed", "1"]
    words += [
        "--learning-rate",
        "0.001",
        "--threads",
        "2",
        "--accelerator",
        "cpu",
        "--option",
        "feed=queue",
    ]
    own = {"train.py": ["--epochs", "1", "--events"], "parity.py": ["--steps", "1", "--output"]}
    command = [interpreter("keras"), str(ENGINES["keras"] / script), *words, *own[script]]
    process = start([*command, str(tmp_path / "written")])
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in printed
    wanted = "error: unknown feed 'queue' (--option feed): give one of: pipeline, arrays"
    assert printed.splitlines()[-1] == wanted
    assert not (tmp_path / "written").exists()
