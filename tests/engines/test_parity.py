"""Every engine computes what the reference computes: same weights, same batches, no dropout, same numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engines.support import ENGINES, REFERENCE, describe, finish, lacking, parity, read
from evenground.protocol.parity import CASES, Case, Tolerance, differences, disagreements, write_dataset

# Every framework is imported, several times over.
pytestmark = pytest.mark.slow

BY_NAME = {case.name: case for case in CASES}
OTHERS = [
    name
    for name, folder in ENGINES.items()
    if name != REFERENCE and describe(folder).get("parity_command") and not lacking(folder)
]
# What is compared beside the specification itself: one default changed, and the case that has to show it.
MUTATIONS = {"adam_epsilon=1e-8": "mlp", "batch_norm_momentum=0.9": "cnn"}


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


def compare(reference: Path, engine: str, case: Case, option: str = "") -> Tolerance:
    """Run `engine` from the reference's weights; how far its results are from the reference's."""
    folder = reference / case.name
    output = folder / f"{engine}-{option}.json"
    given = [*case.arguments(), "--weights", str(folder / "weights")]
    more = ["--option", option] if option else []
    finish(parity(ENGINES[engine], folder / "dataset", output, *given, *more))
    return differences(read(folder / "result.json"), read(output))


@pytest.fixture(scope="module")
def found(reference: Path) -> dict[tuple[str, str, str], Tolerance]:
    """The differences of all engines, by engine, case and changed option, found two at a time."""
    wanted = [(engine, case.name, "") for engine in OTHERS for case in CASES]
    wanted += [(engine, case, option) for engine in OTHERS for option, case in MUTATIONS.items()]
    with ThreadPoolExecutor(max_workers=2) as pool:
        differing = pool.map(lambda key: compare(reference, key[0], BY_NAME[key[1]], key[2]), wanted)
        return dict(zip(wanted, differing, strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("engine", OTHERS)
def test_parity_with_the_reference(
    found: dict[tuple[str, str, str], Tolerance], engine: str, case: Case
) -> None:
    differing = found[engine, case.name, ""]
    print(f"{engine}, {case.name}: {differing}")
    assert not disagreements(differing, case.tolerance), differing


@pytest.mark.parametrize("engine", OTHERS)
def test_another_adam_epsilon_moves_the_losses(
    found: dict[tuple[str, str, str], Tolerance], engine: str
) -> None:
    differing = found[engine, "mlp", "adam_epsilon=1e-8"]
    print(f"{engine}: {differing}")
    assert differing.loss > 10 * BY_NAME["mlp"].tolerance.loss


@pytest.mark.parametrize("engine", OTHERS)
def test_another_batch_norm_momentum_moves_only_statistics_and_logits(
    found: dict[tuple[str, str, str], Tolerance], engine: str
) -> None:
    differing, allowed = found[engine, "cnn", "batch_norm_momentum=0.9"], BY_NAME["cnn"].tolerance
    print(f"{engine}: {differing}")
    assert differing.loss <= allowed.loss
    assert differing.statistics > 100 * allowed.statistics
    assert differing.logits > 10 * allowed.logits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "option", "case"),
    [
        ("keras", "jit_compile=true", "cnn"),
        ("keras", "run_eagerly=true", "odd"),
        ("keras", "feed=arrays", "cnn"),
        ("jax", "disable_jit=true", "odd"),
        ("jax", "convolution=direct", "cnn"),
        ("jax", "convolution=direct", "odd"),
    ],
)
def test_options_change_how_not_what(reference: Path, engine: str, option: str, case: str) -> None:
    differing = compare(reference, engine, BY_NAME[case], option)
    assert not disagreements(differing, BY_NAME[case].tolerance), differing


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
    differing = differences(result(), result(**changed))
    assert disagreements(differing, Tolerance(1e9, 1e9, 1e9)) == [f"{name} differ by inf, allowed are 1e+09"]


def test_the_data_of_a_case_are_always_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_dataset(BY_NAME["odd"], tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 5
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
