"""A part of a sweep as a bundle of its own, and bundles and machine classes beside each other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import adopt as adopt_script
import bundle as bundle_script
import compare as compare_script
import replay as replay_script
from evenground.analysis.files import read_csv
from evenground.config import load_experiment
from evenground.files import read_json
from evenground.records.index import read_index
from evenground.runs.plan import RUNS, make_plan
from made_bundle import call, changed, files_of, listed, save_data, write_finished, write_zip

PART = "made-class_batch_size-32_learning_rate-0.001_" + "a" * 100
OTHER = "other-cpu-8c-32g-nogpu-123abc"


@pytest.fixture(scope="module")
def part(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made working copy, its results moved to where those of a part lie."""
    root = tmp_path_factory.mktemp("parts") / "copy"
    shutil.copytree(copy.parent.parent, root)
    to = root / "results/native/parts" / PART
    shutil.move(root / "results/native", root / "moved")
    to.parent.mkdir(parents=True)
    shutil.move(root / "moved", to)
    return to


@pytest.fixture(scope="module")
def bundle(part: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "part.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenground.report.draw.save", save_data)
        assert call(bundle_script.main, path, "--results", part) == 0
    return path


def test_a_part_is_packed_where_it_lies(bundle: Path, made: Path) -> None:
    deep = {name.replace(f"native/parts/{PART}/", "native/") for name in files_of(bundle)}
    assert deep == set(files_of(made))


def test_a_part_is_replayed(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    assert call(replay_script.main, bundle, "--output-dir", tmp_path / "out") == 0
    assert "as published, byte by byte: 42 tables and files" in capsys.readouterr().out


def test_a_part_is_adopted(
    bundle: Path, part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopt_script, "ROOT", tmp_path)
    assert call(adopt_script.main, bundle) == 0
    index = read_index(part / "index.json")
    assert all((tmp_path / str(run.path) / "manifest.json").is_file() for run in index.finished)
    adopted = read_json(tmp_path / "results/adopted/part.json")
    assert adopted["machine"] == index.machine.class_name


def test_a_part_is_compared_as_folder_and_as_bundle(
    bundle: Path, part: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(compare_script.main, part, bundle, made, "--output-dir", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert f"`{PART}`, " in said and "`part`, " in said and "`runs`, " in said
    assert "3 runs are in both `part` and `runs`" in said
    assert "differences.md" in said and "so judged now" not in said
    found = read_csv(tmp_path / "out/engines_by_machine.csv")
    assert {len(mine) for _, mine in found.groupby("side")} == {len(found) // 3}


def test_two_indexes_in_one_bundle_are_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(bundle)
    files["results/native/index.json"] = files[f"results/native/parts/{PART}/index.json"]
    path = write_zip(listed(files), tmp_path / "two.zip")
    assert call(replay_script.main, path, "--output-dir", tmp_path / "out") == 1
    assert "2 indexes instead of one" in capsys.readouterr().err


def test_a_broken_run_is_blamed_on_its_bundle(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(made)
    run = next(name for name in files if name.endswith("/events.jsonl"))
    broken = write_zip(listed({**files, run: b"nothing\n"}), tmp_path / "broken.zip")
    assert call(compare_script.main, made, broken, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert f" in {broken})" in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_hostile_verdicts_of_a_bundle_are_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(content: dict[str, list[dict[str, str]]]) -> None:
        content["verdicts"][0]["reading"] = "proven\x1b[2J"

    evil = write_zip(
        changed(files_of(made), "results/native/verdicts.json", change), tmp_path / "evil.zip"
    )
    assert call(compare_script.main, made, evil, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: broken verdicts") and f"verdicts.json in {evil}" in said
    assert said.count("\n") == 1 and said.strip().isprintable() and not (tmp_path / "out").exists()


def test_two_classes_of_one_working_copy(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(copy.parent.parent, root)
    settings = read_json(root / "results/native/experiment.json")
    (root / "params.yaml").write_text(yaml.safe_dump(settings))
    here = read_index(root / "results/native/index.json").machine.class_name
    plan = make_plan(load_experiment(settings), root)
    other = replace(plan, machine=OTHER, description="Other CPU, 8 cores, 32 GiB, no GPU")
    for run in plan.runs:
        moved = run.model_copy(update={"machine": OTHER})
        write_finished(root / RUNS / moved.path, moved, other, slower=3.0)
    monkeypatch.setattr(compare_script, "ROOT", root)
    assert call(compare_script.main, here, OTHER, "--output-dir", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert (
        f"`{OTHER}`, Other CPU, 8 cores, 32 GiB, no GPU (class `{OTHER}`), native, 4 of 4 runs"
        in said
    )
    assert f"(class `{here}`), native, 3 of 4 runs" in said and said.count("so judged now") == 2
    found = read_csv(tmp_path / "out/engines_by_machine.csv")
    times = found[found["measure"] == "training_s"].set_index(["engine", "machine"])["mean"]
    own = {
        key: [0.2 + s * (0.5 + 0.05 * r.order) for r in plan.runs if r.engine == "fake_a"]
        for key, s in ((here, 1.0), (OTHER, 3.0))
    }
    for machine, seconds in own.items():
        assert times["fake_a", machine] == pytest.approx(sum(seconds) / len(seconds))


def test_a_class_of_a_sweep_names_its_parts(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(copy.parent.parent, root)
    settings = read_json(root / "results/native/experiment.json")
    (root / "params.yaml").write_text(yaml.safe_dump({**settings, "batch_size": [8, 16]}))
    here = read_index(root / "results/native/index.json").machine.class_name
    monkeypatch.setattr(compare_script, "ROOT", root)
    assert call(compare_script.main, here, here, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "wants 2 parts of this class" in said and "results/native/parts/batch_size-8" in said
