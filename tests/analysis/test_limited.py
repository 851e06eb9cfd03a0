"""Arms that were trained on the first examples only: every table says so, and none compares unlike work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.synthetic import MadeResults, write_results
from analysis.test_tables import analyse, table
from evenground.analysis.differences import differences_table
from evenground.analysis.experiment import Experiment
from evenground.analysis.normalise import normalise_all
from evenground.analysis.quality import band_of
from evenground.analysis.tables import make_tables
from evenground.analysis.times import MEASURES
from evenground.errors import EvengroundError
from evenground.records.index import Index, read_index
from evenground.report.page.deviations import deviations

WHOLE = 60_000
MNIST = (("mnist", "MNIST", "mlp"),)
TOLD = (
    "**Not the whole work:** `part` (320 examples) trained on the first examples of a dataset only"
)


def made(to: Path, limit: Any, examples: Any = WHOLE) -> Path:
    """Index of two engines and an arm of the first one, trained on so many examples."""
    index = write_results(to, MadeResults(datasets=MNIST, engines=("keras", "jax", "part")))
    content = json.loads(index.read_text())
    (condition,) = content["conditions"]
    condition["engines"][2] |= {
        "arm_of": "keras",
        "train_limit": limit,
        "label": "Keras (part), 320 examples",
    }
    condition["datasets"][0]["train_examples"] = examples
    index.write_text(json.dumps(content))
    return index


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of an arm with 320 examples. Read them, do not change them."""
    return analyse(made(tmp_path_factory.mktemp("limited"), 320))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of an arm with all examples."""
    return analyse(made(tmp_path_factory.mktemp("whole"), None))


def test_its_times_are_those_measured(limited: Path, whole: Path) -> None:
    for name in ("summary", "resources", "runs", "quality"):
        assert table(limited, name).equals(table(whole, name))


def test_its_ratio_is_missing_with_the_reason(limited: Path, whole: Path) -> None:
    rows, before = (table(folder, "ratios", engine="part") for folder in (limited, whole))
    assert set(rows["reason"]) == {"trained on 320 examples only"}
    assert rows[["ratio", "low_95", "high_95", "df"]].isna().all(axis=None)
    assert not before["ratio"].isna().any()
    # What is no time is not listed without a ratio.
    assert rows["measure"].tolist() == list(MEASURES)
    before = before[before["measure"].isin(MEASURES)]
    counts = ["n_baseline", "n_engine", "n_wanted"]
    assert (
        rows[counts].equals(before[counts].set_index(rows.index)) and (rows["n_engine"] == 3).all()
    )
    assert table(limited, "ratios", engine="jax").equals(table(whole, "ratios", engine="jax"))


def test_every_table_of_runs_says_so(limited: Path, whole: Path) -> None:
    for page in sorted((limited / "tables").glob("*.md")):
        told = page.stem not in {"lines_of_code", "calibration"}
        assert (TOLD in page.read_text(encoding="utf-8")) == told, page.stem
        assert "Not the whole work" not in (whole / "tables" / page.name).read_text(
            encoding="utf-8"
        )


def test_it_is_named_among_the_deviations(tmp_path: Path) -> None:
    index = read_index(made(tmp_path, 320))
    assert "Keras (part), 320 examples" in " ".join(deviations(index))
    assert sum("on the first examples only" in line for line in deviations(index)) == 1


@pytest.mark.parametrize("arm_of", [None, "keras"])
def test_no_band_of_accuracy_holds_for_it(tmp_path: Path, arm_of: str | None) -> None:
    path = made(tmp_path, 320)
    content = json.loads(path.read_text())
    content["conditions"][0]["engines"][2]["arm_of"] = arm_of
    path.write_text(json.dumps(content))
    index = read_index(path).first
    assert band_of(index, "mnist", "keras") is not None and band_of(index, "mnist", "part") is None


@pytest.mark.parametrize(
    ("limit", "sample"), [(320, 320), (WHOLE, None), (WHOLE + 1, None), (None, None)]
)
def test_a_limit_that_takes_nothing_away_is_none(
    tmp_path: Path, limit: int | None, sample: int | None
) -> None:
    index = read_index(made(tmp_path, limit)).first
    data, (keras, _, part) = index.datasets[0], index.engines
    assert data.sample(part) == sample and data.sample(keras) is None
    assert bool(data.unlike(keras, part)) == (sample is not None)


@pytest.mark.parametrize(
    ("limit", "examples"), [(0, WHOLE), (320, 0), ("320 examples", WHOLE), (320, 10**10)]
)
def test_broken_sizes_are_refused(tmp_path: Path, limit: Any, examples: Any) -> None:
    path = made(tmp_path, limit, examples)
    with pytest.raises(
        EvengroundError,
        match=r"broken index, conditions\.0\.(engines\.2\.train_limit|datasets\.0\.train_examples)",
    ):
        read_index(path)


def test_two_experiments_beside_each_other_are_other_work(tmp_path: Path) -> None:
    some, all_of_it = (read_index(made(tmp_path / str(limit), limit)) for limit in (320, None))

    def compared(*sources: Index) -> tuple[list[str], set[str]]:
        """What is warned of, and which ratios of engines are compared."""
        experiment = Experiment(sources=dict(zip("ab", sources, strict=True)))
        _, lines = differences_table(experiment)
        across = make_tables(experiment, normalise_all(experiment))["across"]
        return lines, set(across[across["baseline"] != ""]["engine"])

    other = "**Not the same work, `a` and `b`: examples of part first 320 against all.**"
    assert compared(some, all_of_it)[0][0] == other
    assert compared(some, all_of_it)[1] == compared(some, some)[1] == {"jax"}
    lines, engines = compared(all_of_it, all_of_it)
    assert engines == {"jax", "part"} and not any("work" in line for line in lines)
