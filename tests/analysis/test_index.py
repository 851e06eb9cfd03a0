"""Reading the index and the run folders: what is refused, with which words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.remade import change_index, tables_of
from analysis.synthetic import MadeResults, write_manifest, write_results
from evenground.analysis.runs import Run, parse_samples, read_runs
from evenground.errors import EvengroundError
from evenground.records.faults import RecordError
from evenground.records.index import read_index
from evenground.records.plan import Absent

SMALL = MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Index of two finished runs that a test may break."""
    return write_results(tmp_path, SMALL)


def runs_in(index_path: Path) -> list[dict[str, Any]]:
    """The runs of the index as they stand in the file."""
    (condition,) = json.loads(index_path.read_text())["conditions"]
    runs: list[dict[str, Any]] = condition["runs"]
    return runs


def test_index_gives_groups_runs_and_root(index_path: Path) -> None:
    index = read_index(index_path).first
    assert [(d.name, e.name) for d, e in index.groups()] == [
        ("digits", "keras"),
        ("digits", "jax"),
        ("shapes", "keras"),
        ("shapes", "jax"),
    ]
    assert [run.status for run in index.group_runs("digits", "jax")] == [
        "finished",
        "failed",
        "finished",
    ]
    assert len(index.finished) == 10
    assert index.root == index_path.parent.parent


def test_run_folder_becomes_typed_records(index_path: Path) -> None:
    run = read_runs(read_index(index_path).first)[0]
    assert run.events.test_accuracy == 0.962
    assert [epoch.number for epoch in run.events.epochs] == [1, 2, 3]
    assert run.events.train_end_ns - run.events.train_start_ns == 3 * 10**9
    assert run.process.rate_hz == 10.0
    assert "libnvidia-ml" in run.process.missing["gpu_util_pct"]
    samples = run.samples()
    assert samples.columns["rss_bytes"].max() == 450 * 2**20
    assert all(value != value for value in samples.columns["gpu_util_pct"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"report": {"grid_s": 0}}, "report.grid_s"),
        ({"report": {"grid_s": 0.1, "stand_ins": {"elixir": "../x"}}}, "report.stand_ins.elixir"),
        (
            {"engines": [{"name": "keras", "label": "Keras", "colour": "orange"}]},
            "engines.0.colour",
        ),
        ({"engines": [{"name": "keras", "label": "Keras", "colour": "#E69F00"}]}, "does not list"),
        ({"runs": [{"dataset": "digits"}]}, "runs.0."),
        (
            {"absent": [{"name": "axon", "label": "Axon", "reason": "two\nlines"}]},
            "absent.0.reason",
        ),
        (
            {"absent": [{"name": "jax", "label": "JAX", "reason": "gone"}]},
            "an engine stands there twice",
        ),
    ],
)
def test_broken_index_names_the_field(small: Path, fields: dict[str, Any], words: str) -> None:
    change_index(small, **fields)
    with pytest.raises(EvengroundError, match=rf"conditions\.0.*{words}"):
        read_index(small)


def test_engines_that_are_not_installed_are_known_and_older_indexes_have_none(small: Path) -> None:
    assert read_index(small).first.absent == ()
    change_index(small, absent=[{"name": "axon", "label": "Axon", "reason": "no Elixir"}])
    index = read_index(small).first
    assert index.absent == (Absent(name="axon", label="Axon", reason="no Elixir"),)
    assert [engine.name for engine in index.engines] == ["keras", "jax"]


def test_run_named_twice_is_refused(small: Path) -> None:
    run = runs_in(small)[0]
    change_index(small, runs=[run, run])
    with pytest.raises(EvengroundError, match="appears twice"):
        read_index(small)


def test_missing_index_and_index_that_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(EvengroundError, match="missing"):
        read_index(tmp_path / "index.json")
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(EvengroundError, match="not valid JSON"):
        read_index(tmp_path / "index.json")


def test_a_run_of_another_machine_class_is_refused_wherever_it_lies(small: Path) -> None:
    runs = runs_in(small)
    folder = read_index(small).root / runs[1]["path"]
    described = json.loads((folder / "manifest.json").read_text())["run"]
    runs[1]["manifest_sha256"] = write_manifest(folder, described | {"machine": "another-machine"})
    change_index(small, runs=runs)
    with pytest.raises(EvengroundError, match=r"another-machine in a condition of .*averages over"):
        read_runs(read_index(small).first)


def test_runs_of_another_class_than_the_index_are_refused(small: Path) -> None:
    change_index(small, machine={"class": "another-machine", "description": "Another"})
    with pytest.raises(EvengroundError, match="nothing averages over classes"):
        read_runs(read_index(small).first)


def test_manifest_of_another_run_is_refused(small: Path) -> None:
    runs = runs_in(small)
    runs[0]["repetition"] = 2
    change_index(small, runs=runs)
    with pytest.raises(EvengroundError, match="another run"):
        read_runs(read_index(small).first)


@pytest.mark.parametrize("name", ["manifest.json", "events.jsonl", "samples.csv", "samples.json"])
@pytest.mark.parametrize("harm", ["removed", "changed"])
def test_missing_or_changed_file_is_refused(small: Path, name: str, harm: str) -> None:
    path = small.parent.parent / runs_in(small)[0]["path"] / name
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(
        EvengroundError, match="missing" if harm == "removed" else "not the one recorded"
    ):
        read_everything(small)


def test_run_folder_that_is_gone_is_refused(small: Path) -> None:
    shutil.rmtree(small.parent.parent / runs_in(small)[0]["path"])
    with pytest.raises(EvengroundError, match="missing"):
        read_everything(small)


def harm(index_path: Path, number: int, name: str, old: str, new: str) -> None:
    """Put `new` in place of `old` in a file of a run, as if it had been recorded so."""
    runs = runs_in(index_path)
    folder = index_path.parent.parent / runs[number]["path"]
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    about = json.loads((folder / "manifest.json").read_text())["run"]
    runs[number]["manifest_sha256"] = write_manifest(folder, about)
    change_index(index_path, runs=runs)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("events.jsonl", '"t_unix_ns": 1700', '"t_unix_ns": 1.700', "broken-events"),
        ("events.jsonl", '"loss": 2.3', '"loss": 1e300', "broken-events"),
        ("events.jsonl", '"loss": 2.3', '"loss": null', "wrong-work"),
        ("events.jsonl", '"train_end"', '"train_over"', "broken-events"),
        ("events.jsonl", '"event": "evaluate_start"', '"event": "load_start"', "incomplete-events"),
        ("samples.csv", "t_mono_ns", "t_other_ns", "broken-samples"),
        ("samples.csv", "rss_bytes", "rss", "broken-samples"),
        ("samples.json", '"rate_hz": 10.0', '"rate_hz": 0', "broken-samples"),
    ],
)
def test_a_run_that_cannot_be_read_is_named_with_its_reason(
    small: Path, name: str, old: str, new: str, reason: str
) -> None:
    harm(small, 1, name, old, new)
    with pytest.raises(RecordError) as refused:
        read_everything(small)
    assert refused.value.reason == reason and "/jax/" in refused.value.where


def test_an_index_of_another_schema_names_both(small: Path) -> None:
    content = json.loads(small.read_text())
    small.write_text(json.dumps(content | {"schema": 3}))
    words = r"index has schema 3, .* reads 4 "
    with pytest.raises(EvengroundError, match=words) as refused:
        read_index(small)
    assert "\n" not in str(refused.value)
    small.write_text(json.dumps(content | {"schema": "two"}))
    with pytest.raises(EvengroundError, match="schema"):
        read_index(small)


def read_everything(index_path: Path) -> list[Run]:
    """Read all files of all runs."""
    runs = read_runs(read_index(index_path).first)
    for run in runs:
        run.samples(), run.process
    return runs


HEAD = "t_mono_ns,cpu_s,rss_bytes,gpu_util_pct,vram_used_bytes,gpu_power_w,machine_used_bytes,free_used_bytes,"
HEAD += "cpu_since_boot_pct\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "broken samples"),
        ("cpu_s,rss_bytes\n1,2\n", "broken samples, no column t_mono_ns"),
        (HEAD + "1,0,0,,,,0,0\nx,0,0,,,,0,0\n", "broken samples"),
        (HEAD + "1,0,0,,,,0,0\n2,many,0,,,,0,0\n", "broken samples"),
        (HEAD + "2,0,0,,,,0,0\n1,0,0,,,,0,0\n", "does not move forward .*line 3"),
    ],
)
def test_broken_samples_are_refused(content: str, words: str) -> None:
    with pytest.raises(EvengroundError, match=words):
        parse_samples(content.encode(), Path("samples.csv"))


def with_arm(path: Path, arm_of: str) -> None:
    """Make a third engine of the index an arm, which trained on the second dataset only."""
    content = json.loads(path.read_text())
    (condition,) = content["conditions"]
    condition["engines"].append(
        {"name": "eager", "label": "Eager", "colour": "#009E73", "arm_of": arm_of}
    )
    condition["runs"] += [
        {
            "dataset": "shapes",
            "engine": "eager",
            "repetition": r,
            "key": "k",
            "order": 90 + r,
            "status": "missing",
        }
        for r in (1, 2)
    ]
    path.write_text(json.dumps(content))


def test_an_arm_is_compared_with_its_engine_only(tmp_path: Path) -> None:
    path = write_results(tmp_path, MadeResults())
    with_arm(path, "jax")
    index = read_index(path).first
    assert [engine.name for engine in index.main] == ["keras", "jax"]
    assert [(d.name, e.name) for d, e in index.groups() if e.name == "eager"] == [
        ("shapes", "eager")
    ]
    named = {d.name: [(a.name, b.name) for a, b in index.pairs(d.name)] for d in index.datasets}
    assert named == {"digits": [("keras", "jax")], "shapes": [("keras", "jax"), ("jax", "eager")]}
    ratios = tables_of(read_index(path))["ratios"]
    assert set(ratios["engine"]) == {"jax", "eager"}
    assert set(ratios[ratios["engine"] == "eager"]["reason"]) == {"no finished run"}


def test_an_arm_of_nothing_is_refused(tmp_path: Path) -> None:
    path = write_results(tmp_path, MadeResults())
    with_arm(path, "eager")
    with pytest.raises(EvengroundError, match="'eager' is an arm of 'eager', which is no engine"):
        read_index(path)
