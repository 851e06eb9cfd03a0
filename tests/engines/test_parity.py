"""Every engine computes what the reference computes: same weights, same batches, no dropout, same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evenground.protocol.parity import CASES, Case, Tolerance, differences, disagreements, write_dataset

from engines.support import ENGINES, REFERENCE, describe, finish, parity, read

BY_NAME = {case.name: case for case in CASES}
OTHERS = [name for name in ENGINES if name != REFERENCE and describe(ENGINES[name]).get("parity_command")]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Per case a folder with the dataset, the reference's initial weights and its results."""
    folder = tmp_path_factory.mktemp("parity")
    started = []
    for case in CASES:
        write_dataset(case, folder / case.name / "dataset")
        paths = [folder / case.name / "dataset", folder / case.name / "result.json"]
        export = ["--export-weights", str(folder / case.name / "weights")]
        started.append(parity(ENGINES[REFERENCE], *paths, *case.arguments(), *export))
    for process in started:
        finish(process)
    return folder


def compare(reference: Path, engine: str, case: Case, output: Path, *more: str) -> Tolerance:
    """Run `engine` from the reference's weights; how far its results are from the reference's."""
    folder = reference / case.name
    weights = ["--weights", str(folder / "weights")]
    finish(parity(ENGINES[engine], folder / "dataset", output, *case.arguments(), *weights, *more))
    return differences(read(folder / "result.json"), read(output))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("engine", OTHERS)
def test_parity_with_the_reference(reference: Path, engine: str, case: Case, tmp_path: Path) -> None:
    found = compare(reference, engine, case, tmp_path / "result.json")
    assert not disagreements(found, case.tolerance), found


@pytest.mark.parametrize("engine", OTHERS)
def test_another_adam_epsilon_moves_the_losses(reference: Path, engine: str, tmp_path: Path) -> None:
    case = BY_NAME["mlp"]
    found = compare(reference, engine, case, tmp_path / "result.json", "--option", "adam_epsilon=1e-8")
    assert found.loss > 10 * case.tolerance.loss


@pytest.mark.parametrize("engine", OTHERS)
def test_another_batch_norm_momentum_moves_only_statistics(
    reference: Path, engine: str, tmp_path: Path
) -> None:
    case = BY_NAME["cnn"]
    found = compare(reference, engine, case, tmp_path / "result.json", "--option", "batch_norm_momentum=0.9")
    assert found.loss <= case.tolerance.loss
    assert found.statistics > 100 * case.tolerance.statistics
    assert found.logits > 10 * case.tolerance.logits


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_direct_convolution_of_jax_is_the_same_sum(reference: Path, case: Case, tmp_path: Path) -> None:
    found = compare(reference, "jax", case, tmp_path / "result.json", "--option", "convolution=direct")
    assert not disagreements(found, case.tolerance), found


def result(**changed: Any) -> dict[str, Any]:
    return {"losses": [1.0, 2.0], "statistics": {"norm_1.moving_mean": [0.5]}, "logits": [[1.0]], **changed}


def test_equal_results_do_not_differ() -> None:
    assert differences(result(), result()) == Tolerance(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"losses": [1.0]}, "loss"),
        ({"losses": [1.0, None]}, "loss"),
        ({"losses": []}, "loss"),
        ({"statistics": {}}, "statistics"),
        ({"logits": [[1.0], [1.0]]}, "logits"),
        ({"logits": [[float("nan")]]}, "logits"),
    ],
)
def test_missing_or_broken_numbers_never_agree(changed: dict[str, Any], name: str) -> None:
    found = differences(result(), result(**changed))
    assert disagreements(found, Tolerance(1e9, 1e9, 1e9)) == [f"{name} differ by inf, allowed are 1e+09"]


def test_the_data_of_a_case_are_always_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_dataset(BY_NAME["odd"], tmp_path / folder)
    assert read(tmp_path / "a" / "dataset.json") == read(tmp_path / "b" / "dataset.json")
    assert (tmp_path / "a" / "train_images.npy").read_bytes() == (tmp_path / "b" / "train_images.npy").read_bytes()
