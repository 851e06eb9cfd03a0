"""The overview as a whole: of parts that lack something or are broken, of many, by its script, and shown."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.support import interpreter
from evenground.errors import EvengroundError
from evenground.overview.parts import read_parts
from evenground.overview.write import write_all
from made_overview import RESULTS, A, B, run
from made_parts import copied_part, write_parts

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "scripts/overview.py"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.slow
def test_engines_that_a_machine_lacks_are_named(made: Path, tmp_path: Path) -> None:
    where = changed(made, tmp_path / "copy", lambda content: None)
    file = where.parent / "parts" / f"{B}_batch_size-64_threads-1" / "index.json"
    absent = [{"name": "axon", "label": "Axon", "reason": "no <elixir>"}]
    file.write_text(json.dumps({**json.loads(file.read_text()), "absent": absent}))
    write_all(where, where.parent)
    said = f"<code>{B}</code>, native); without Axon, which is not installed there: no &lt;elixir&gt;</div>"
    html = (where.parent / "report.html").read_text()
    assert said in html and html.count("without Axon") == 1


def changed(made: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of the list with a change, whose parts lie where they are."""
    shutil.copytree(made.parents[2], to)
    where = to / "results/native/parts.json"
    content = json.loads(where.read_text())
    change(content)
    where.write_text(json.dumps(content))
    return where


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["parts"][0].update(folder="../elsewhere"), r"parts\.0\.folder"),
        (lambda c: c["parts"][0].update(folder="results/native/parts/none"), "the file is missing"),
        (lambda c: c["parts"][0].update(machine="other"), "a machine that the list does not name"),
        (lambda c: c["parts"][0].update(machine=B), "two parts of one machine and one value"),
        (lambda c: c["parts"][0].update(name=c["parts"][1]["name"]), "two parts of one name"),
        (lambda c: c["parts"][0]["settings"].update(batch_size=99), "has batch_size 16, not 99"),
        (
            lambda c: c["parts"][0]["settings"].pop("threads"),
            "has not the values of batch_size, threads",
        ),
        (lambda c: c.update(parts=[]), "broken list of parts, parts"),
        (lambda c: c.update(schema=2), "broken list of parts, schema"),
        (lambda c: c.update(deployment="apptainer"), "has deployment native, not apptainer"),
        (lambda c: c["machines"].append(A), "a machine named twice"),
    ],
)
def test_a_broken_list_is_one_line(
    made: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(EvengroundError, match=said):
        read_parts(changed(made, tmp_path / "copy", change))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, None) for name in ("tables/quality.md", "report.html")),
        *(
            (name, text)
            for name in ("tables/runs.csv", "verdicts.json", "metrics.json")
            for text in (None, "")
        ),
        ("index.json", None),
        ("index.json", "{}"),
    ],
)
def test_a_missing_or_broken_file_of_a_part_is_one_line(
    made: Path, tmp_path: Path, name: str, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    where = changed(made, tmp_path / "copy", lambda content: None)
    file = where.parent / "parts" / f"{B}_batch_size-64_threads-1" / name
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit):
        call("--parts", str(where), "--output-dir", str(tmp_path / "out"))
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and Path(name).name in said


def call(*arguments: str) -> None:
    before, sys.argv = sys.argv, [SCRIPT.name, *arguments]
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        sys.argv = before


@pytest.mark.slow
def test_the_script_writes_all(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("--parts", str(made), "--output-dir", str(tmp_path))
    assert capsys.readouterr().out == f"overview of 8 parts: {tmp_path}/report.html\n"
    names = {path.name for path in tmp_path.iterdir()}
    folders = {"tables", "figures", "normalised"}
    assert names == {*folders, "verdicts.json", "metrics.json", "report.html"}


def test_parts_of_two_versions_are_refused(made: Path, tmp_path: Path) -> None:
    where = changed(made, tmp_path / "copy", lambda content: None)
    file = where.parent / "parts" / f"{B}_batch_size-64_threads-1" / "tables/accuracy.csv"
    file.write_text("dataset,engine\n")
    with pytest.raises(EvengroundError, match="other columns than that of part"):
        write_all(where, where.parent)


@pytest.mark.slow
def test_a_hundred_parts_of_a_hundred_runs(tmp_path: Path) -> None:
    where = write_parts(tmp_path, [A], [{"batch_size": 1}], run, repetitions=25)
    content = json.loads(where.read_text())
    (first,) = content["parts"]
    content["parts"] += [copied_part(where, first, batch_size=size) for size in range(2, 101)]
    where.write_text(json.dumps(content))
    began_s = time.monotonic()
    write_all(where, where.parent)
    took_s = time.monotonic() - began_s
    print(f"100 parts of 100 runs: {took_s:.1f} s")
    assert took_s < 60


@pytest.mark.slow
def test_a_browser_shows_it(tmp_path: Path) -> None:
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    settings = [{"batch_size": 16}, {"batch_size": 64}]
    where = write_parts(tmp_path, [A], settings, run, **RESULTS)
    write_all(where, where.parent)
    (tmp_path / "shots").mkdir()
    script = HERE.parent / "report/drive_browser.py"
    page = where.parent / "report.html"
    command = [
        interpreter("browser"),
        str(script),
        BROWSER,
        str(page),
        str(tmp_path / "shots"),
        "4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["console"] == [] and found["broken"] == 0 and found["unnamed"] == 0
    assert [url.partition(":")[0] for url in found["requests"] if not url.startswith("data:")] == [
        "file"
    ]
    assert found["contrast_light"][0] >= 4.5 and found["contrast_dark"][0] >= 4.5
    assert found["phone_overflow_px"] == 0
    before, once = ([float(text) for text in found["sorting"][name]] for name in ("before", "once"))
    assert once == sorted(before) != before
