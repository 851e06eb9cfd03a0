"""Every engine keeps the protocol: its command line, its events, the same numbers from the same seed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.support import (
    ACCELERATOR,
    DUMMY,
    ENGINES,
    command,
    describe,
    finish,
    interpreter,
    lacking,
    start,
    train,
)
from evenground.protocol.parity import Case, write_dataset
from evenground.records.events import Event, Expected, Start, check_file

ALL = {**ENGINES, "dummy": DUMMY}
SHAPES = {"mlp": (7, 6, 1), "cnn": (12, 11, 3)}
PARAMETERS = {
    "mlp": 7 * 6 * 128 + 128 + 128 * 10 + 10,
    "cnn": (27 * 32 + 32)
    + 2 * 32
    + (288 * 64 + 64)
    + 2 * 64
    + (1 * 1 * 64 * 64 + 64)
    + (64 * 10 + 10),
}
EPOCHS, BATCH_SIZE, SEED, LIMIT = 2, 8, 7, 45
# Two runs of one seed: on a GPU sums are in the order in which threads arrive (docs/specification.md).
SAME_SEED = {"cpu": 0.0, "cuda": 1e-2}[ACCELERATOR]
WORK = [
    "--epochs",
    str(EPOCHS),
    "--batch-size",
    str(BATCH_SIZE),
    "--seed",
    str(SEED),
    "--linger-s",
    "0.1",
]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A prepared dataset of 60 training and 64 test examples for each network."""
    folder = tmp_path_factory.mktemp("datasets")
    for network, shape in SHAPES.items():
        write_dataset(Case(network, network, shape, 12, 5), folder / network)
    return {network: folder / network for network in SHAPES}


def expected(network: str, parameters: int | None) -> Expected:
    return Expected(
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        network=network,
        seed=SEED,
        train_examples=LIMIT,
        test_examples=64,
        parameters=parameters,
        linger_s=0.1,
    )


def trained_twice(name: str, network: str, dataset: Path, folder: Path) -> list[list[Event]]:
    """The events of two runs with the same seed, one beside the other, both judged."""
    work = ["--network", network, "--train-limit", str(LIMIT), *WORK]
    paths = [folder / f"{run}.jsonl" for run in (1, 2)]
    for process in [train(ALL[name], dataset, path, *work) for path in paths]:
        finish(process)
    parameters = PARAMETERS[network] if name in ENGINES else None
    return [check_file(path, expected(network, parameters)) for path in paths]


def losses(events: list[Event]) -> list[tuple[str, Any]]:
    return [(event.event, event.loss) for event in events if hasattr(event, "loss")]


def numbers(events: list[Event]) -> list[Any]:
    return [loss for _, loss in losses(events)]


def options_of(events: list[Event]) -> dict[str, Any]:
    assert isinstance(events[0], Start)
    return events[0].options


def test_an_engine_that_is_not_installed_is_skipped_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "engine.yaml").write_text(
        "{command: [odd], check: [sh, -c, 'echo no odd; exit 1']}"
    )
    with pytest.raises(pytest.skip.Exception, match="no odd"):
        command(tmp_path)


@pytest.mark.parametrize(
    ("name", "network"),
    [
        pytest.param(
            name, network, marks=[pytest.mark.slow] if name != "dummy" and network == "cnn" else []
        )
        for name in ALL
        for network in SHAPES
    ],
)
def test_contract(name: str, network: str, datasets: dict[str, Path], tmp_path: Path) -> None:
    first, second = trained_twice(name, network, datasets[network], tmp_path)
    assert options_of(first) == describe(ALL[name]).get("options", {})
    assert numbers(second) == pytest.approx(numbers(first), rel=SAME_SEED, abs=0)
    assert len(losses(first)) == EPOCHS + 1
    if name in ENGINES:
        by_name = {event.event: event.model_dump() for event in first}
        assert by_name["start"]["engine"] == name
        assert by_name["start"]["device"].startswith(ACCELERATOR)
        assert len({loss for _, loss in losses(first)}) == EPOCHS + 1
        assert losses(first)[-1][1] < losses(first)[0][1]
        assert by_name["evaluate_end"]["correct"] > 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in {"dummy", "jax"} else [pytest.mark.slow])
        for name in ALL
    ],
)
def test_both_kinds_of_examples_are_limited(
    name: str, datasets: dict[str, Path], tmp_path: Path
) -> None:
    """A warm-up judges as few examples as it trains; a limit above what there is is none."""
    for limit, judged in ((5, 5), (1000, 64)):
        path = tmp_path / f"{limit}.jsonl"
        work = ["--network", "mlp", "--train-limit", "16", "--test-limit", str(limit), *WORK]
        finish(train(ALL[name], datasets["mlp"], path, *work))
        check_file(path, Expected(train_examples=16, test_examples=judged))


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_another_seed_is_another_run(name: str, datasets: dict[str, Path], tmp_path: Path) -> None:
    seen = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.jsonl"
        work = ["--network", "mlp", "--epochs", "1", "--batch-size", "8", "--seed", seed]
        finish(train(ALL[name], datasets["mlp"], path, *work))
        seen.append(losses(check_file(path, Expected(seed=int(seed)))))
    assert seen[0] != seen[1]


FAULTS = {
    "unknown-option": (["--option", "no_such=1"], "unknown option 'no_such=1'"),
    "cuda": (["--accelerator", "cuda"], "--accelerator cuda"),
    "auto": (["--accelerator", "auto"], "'auto'"),
    "batch": (["--batch-size", "61"], "no full batch"),
    "dataset": (["--dataset", "no/such/folder"], "no/such/folder"),
    "small": (["--network", "cnn"], "pictures of 7x6 pixels are too small for network 'cnn'"),
    "label": (["--dataset", "COPY"], "label 10, but 10 classes"),
}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, marks=[] if name == "jax" else [pytest.mark.slow])
        for name in ENGINES
        for fault in FAULTS
    ],
)
def test_bad_input_is_one_clear_line(
    name: str, fault: str, datasets: dict[str, Path], tmp_path: Path
) -> None:
    given, said = FAULTS[fault]
    copied = shutil.copytree(datasets["mlp"], tmp_path / "label")
    np.save(copied / "train_labels.npy", np.full(60, 10, np.uint8))
    given = [str(copied) if word == "COPY" else word for word in given]
    base = [
        "--dataset",
        str(datasets["mlp"]),
        "--network",
        "mlp",
        "--events",
        str(tmp_path / "events.jsonl"),
    ]
    base += ["--learning-rate", "0.001", "--threads", "2", "--accelerator", "cpu", *WORK]
    process = start([*command(ALL[name]), *base, *given], CUDA_VISIBLE_DEVICES="")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and said in lines[0]
    assert printed.rstrip().endswith(lines[0])
    assert "Traceback" not in printed


@pytest.mark.parametrize("name", [name for name in ENGINES if "check" in describe(ENGINES[name])])
def test_an_engine_that_is_not_installed_says_why_in_one_line(name: str) -> None:
    said = lacking(ENGINES[name])
    assert said == "" or (": " in said and not said.startswith("error"))


def test_jax_has_the_threads_that_were_asked_for_whatever_the_caller_sets() -> None:
    """XLA reads two variables; called by hand, both may be there, and no affinity holds it."""
    code = (
        "import os, device, jax\n"
        "from argparse import Namespace\n"
        "options = {'convolution': 'auto', 'preallocate': False, 'disable_jit': False, 'tf32': False}\n"
        "device.configure(Namespace(options=options, threads=3, accelerator='cpu'))\n"
        "names = [open(f'/proc/self/task/{task}/comm').read() for task in os.listdir('/proc/self/task')]\n"
        "print(sum(name == 'tf_XLAEigen\\n' for name in names))\n"
    )
    python = interpreter("jax")
    caller = {**os.environ, "NPROC": "5", "PJRT_NPROC": "7", "PYTHONPATH": str(ENGINES["jax"])}
    done = subprocess.run(
        [python, "-c", code], env=caller, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == "3"


@pytest.mark.slow
def test_steps_per_execution_change_no_number(datasets: dict[str, Path], tmp_path: Path) -> None:
    seen = []
    for steps in (1, 4):
        path = tmp_path / f"{steps}.jsonl"
        more = ["--option", f"steps_per_execution={steps}"]
        finish(train(ALL["keras"], datasets["cnn"], path, "--network", "cnn", *WORK, *more))
        events = check_file(path, Expected(epochs=EPOCHS))
        assert options_of(events)["steps_per_execution"] == steps
        seen.append([loss for name, loss in losses(events) if name == "epoch_end"])
    assert seen[0] == pytest.approx(seen[1], rel=SAME_SEED, abs=0)


@pytest.mark.slow
def test_keras_as_published_trains_the_networks_of_the_public_code(
    datasets: dict[str, Path], tmp_path: Path
) -> None:
    """Two hidden layers; no batch norm; and the order changes, so the losses are not those of our order."""
    published = {
        "mlp": 7 * 6 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10,
        "cnn": (27 * 32 + 32) + (288 * 64 + 64) + (1 * 1 * 64 * 64 + 64) + (64 * 10 + 10),
    }
    for network, parameters in published.items():
        work = [
            "--network",
            network,
            "--train-limit",
            str(LIMIT),
            *WORK,
            "--option",
            "as_published=true",
        ]
        finish(train(ALL["keras"], datasets[network], tmp_path / network, *work))
        check_file(tmp_path / network, expected(network, parameters))
