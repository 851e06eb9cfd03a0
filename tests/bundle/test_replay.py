"""Replaying: the published numbers come out again, or it is said that they do not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import compare
import replay as script
from logged import logged
from made_bundle import (
    call,
    changed_condition,
    files_of,
    fixed,
    listed,
    save_data,
    write_zip,
)
from working_copy import ROOT

# What the environments of the workflow and of the tests have and that of the analysis has not.
ABSENT = (
    "psutil",
    "snakemake",
    "dvc",
    "requests",
    "pynvml",
    "jsonschema",
    "sklearn",
    "tqdm",
    "pytest",
)


def test_tables_and_figures_come_out_byte_by_byte(
    made: Path, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(script.main, made, "--output-dir", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert (
        "unpacked and checked: 3 runs" in said
        and "as published, byte by byte: 62 tables and files" in said
    )
    redrawn = tmp_path / "out" / "redrawn"
    for folder, count in (("tables", 12), ("figures", 28)):
        paths = list((copy / folder).iterdir())
        assert len(paths) >= count
        for path in paths:
            assert (redrawn / folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert (redrawn / "metrics.json").read_bytes() == (copy / "metrics.json").read_bytes()


def test_changed_numbers_are_told(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    files = files_of(made)
    names = [
        "figures/training_time.csv",
        "metrics.json",
        "tables/resources.md",
        "tables/summary.csv",
    ]
    better = {
        name: re.sub(rb"0\.(\d)", rb"0.0\1", files[f"results/native/{name}"], count=1)
        for name in names
    }
    new = {**files, **{f"results/native/{name}": content for name, content in better.items()}}
    bundle = write_zip(listed(new), tmp_path / "bundle.zip")
    assert call(script.main, bundle, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: 4 files are not as published: {', '.join(names)} (")
    assert said.count("\n") == 1
    # Both are there to be compared.
    assert (tmp_path / "out/results/native/metrics.json").read_bytes() == better["metrics.json"]
    assert (tmp_path / "out/redrawn/metrics.json").read_bytes() == files[
        "results/native/metrics.json"
    ]


def test_a_run_that_cannot_be_read_is_named_in_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(made)
    name = next(name for name in sorted(files) if name.endswith("/r1/events.jsonl"))
    files[name] = files[name].replace(b'"loss": 2.3', b'"loss": 1e300')
    broken = write_zip(fixed(files), tmp_path / "broken.zip")
    for command in (
        [script.main, broken, "--output-dir", tmp_path / "out"],
        [compare.main, made, broken, "--output-dir", tmp_path / "out"],
    ):
        assert call(*command) == 1
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1
        assert "error: " in said.err and "first_batch_end.loss" in said.err
        assert f"({name}, line 6 in {broken}): take another copy" in said.err
        assert not (tmp_path / "out").exists()


def test_without_its_contact_sheet_a_bundle_is_drawn_and_says_so(
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    older = {n: c for n, c in files_of(made).items() if "contact_sheet" not in n}
    older = {n: c for n, c in older.items() if "/samples_" not in n}
    bare = changed_condition(older, lambda it: it["datasets"][0].pop("contact_sheet"))
    bundle = write_zip(bare, tmp_path / "bundle.zip")
    assert call(script.main, bundle, "--output-dir", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert logged(said.err) == [
        "warning: figure samples_tiny is without pictures: no contact sheet was recorded"
    ]
    assert "as published, byte by byte: 61 tables and files" in said.out


def test_a_second_replay_does_not_overwrite_the_first(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    assert call(script.main, made, "--output-dir", tmp_path / "out") == 1
    assert "it is there already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_replay_runs_where_nothing_else_is_installed(made: Path, tmp_path: Path) -> None:
    block = "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv.pop(0)); "
    block += f"sys.modules.update(dict.fromkeys({ABSENT!r})); "
    words = [sys.executable, "-c", f"{block}runpy.run_path(sys.argv[0], run_name='__main__')"]
    words += [
        str(ROOT / "scripts"),
        str(ROOT / "scripts/replay.py"),
        str(made),
        "--output-dir",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "as published, byte by byte: 62" in done.stdout
