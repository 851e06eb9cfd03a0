"""The published runs in the repository: what they hold, and that this version redraws them as published."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

import replay as script
from made_bundle import call

ROOT = Path(__file__).parents[2]
BUNDLES = sorted((ROOT / "published").glob("*.zip"))
MAX_BYTES = 6_000_000


def condition_of(bundle: Path) -> dict[str, object]:
    """The only condition of its index."""
    with zipfile.ZipFile(bundle) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/index.json"))
        content: dict[str, object]
        (content,) = json.loads(archive.read(name))["conditions"]
    return content


def test_there_is_one() -> None:
    assert BUNDLES


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_it_is_small_and_shows_only_some_images_of_a_dataset(bundle: Path) -> None:
    assert bundle.stat().st_size <= MAX_BYTES
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith((".npy", ".html"))]
    datasets = condition_of(bundle)["datasets"]
    assert isinstance(datasets, list)
    assert all(dataset["contact_sheet"]["path"] in names for dataset in datasets)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_it_has_five_runs_of_every_engine_on_both_datasets(bundle: Path) -> None:
    condition = condition_of(bundle)
    runs, engines = condition["runs"], condition["engines"]
    assert isinstance(runs, list) and isinstance(engines, list)
    main = {engine["name"] for engine in engines if engine["arm_of"] is None}
    assert main == {"keras", "jax"}
    finished = Counter((r["dataset"], r["engine"]) for r in runs if r["status"] == "finished")
    assert {pair: n for pair, n in finished.items() if pair[1] in main} == {
        (dataset, engine): 5 for dataset in ("mnist", "cifar10-jpeg12k") for engine in main
    }
    (machine,) = {run["path"].split("/")[2] for run in runs}
    told = condition["machine"]
    assert isinstance(told, dict) and told["class"] == machine and told["description"]


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_this_version_redraws_it_as_published(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(script.main, bundle, "--output-dir", tmp_path / "out") == 0, capsys.readouterr().err
    assert "as published, byte by byte" in capsys.readouterr().out
