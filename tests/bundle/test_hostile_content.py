"""Bundles whose files are what their checksums say, and whose content is not what a run ever wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replay as script
from analysis.synthetic import T0_NS
from made_bundle import (
    INDEX,
    Files,
    call,
    changed,
    changed_condition,
    condition_in,
    fixed,
    write_zip,
)

Change = Callable[[Any], Any]
Build = Callable[[Files], Files]
# The name of the file that must be blamed, and how the bundle is made.
Case = tuple[str, Build]


def index(change: Change) -> Case:
    """The index changed: what it says of its first condition."""
    return INDEX, lambda files: changed_condition(files, change)


def whole_index(change: Change) -> Case:
    return INDEX, lambda files: changed(files, INDEX, change)


def put(value: Any, *path: str | int) -> Change:
    """Put a value at a place in JSON."""

    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return change


def of_run(name: str, change: Callable[[bytes], bytes]) -> Case:
    """The file of this name changed in every run."""

    def build(files: Files) -> Files:
        new = {
            path: change(old) if path.endswith(f"/{name}") else old for path, old in files.items()
        }
        assert new != files
        return fixed(new)

    return name, build


def replaced(name: str, old: bytes, new: bytes) -> Case:
    return of_run(name, lambda content: content.replace(old, new, 1))


def in_json(name: str, value: Any, *path: str | int) -> Case:
    def change(old: bytes) -> bytes:
        content = json.loads(old)
        put(value, *path)(content)
        return json.dumps(content).encode()

    return of_run(name, change)


def info(value: Any, *path: str | int) -> Case:
    return in_json("samples.json", value, *path)


def manifest(value: Any, *path: str | int) -> Case:
    return in_json("manifest.json", value, *path)


def event(name: str, field: str, value: Any) -> Case:
    """One field of every event of a name."""

    def change(old: bytes) -> bytes:
        rows = [json.loads(line) for line in old.splitlines()]
        rows = [{**row, field: value} if row["event"] == name else row for row in rows]
        return "".join(json.dumps(row) + "\n" for row in rows).encode()

    return of_run("events.jsonl", change)


def cell(column: str, value: str) -> Case:
    """One cell in the middle of the samples."""

    def change(old: bytes) -> bytes:
        lines = old.decode().splitlines()
        place, row = lines[0].split(",").index(column), lines[5].split(",")
        row[place] = value
        return "\n".join([*lines[:5], ",".join(row), *lines[6:], ""]).encode()

    return of_run("samples.csv", change)


def calibration(content: bytes) -> Case:
    def build(files: Files) -> Files:
        return fixed({**files, condition_in(files[INDEX])["calibration"]["path"]: content})

    return "results/calibration", build


def another_picture(files: Files) -> Files:
    """A contact sheet that is as good as the packed one, but for its own checksum."""
    name = condition_in(files[INDEX])["datasets"][0]["contact_sheet"]["path"]
    return changed(files, name, put("00" * 16, "examples", 3, "pixels"))


LONG = 10**30
# One for each rule of those who read these files.
CASES: dict[str, Case] = {
    "path-up": index(put("../..", "runs", 0, "path")),
    "path-nul": index(put("results/\0", "runs", 0, "path")),
    "path-long": index(put("x/" * 5000, "runs", 0, "path")),
    "path-surrogate": index(put("results/\ud800", "runs", 0, "path")),
    "path-dots": ("manifest.json", index(put(".", "runs", 0, "path"))[1]),
    "prepared-up": index(put("data/../..", "datasets", 0, "prepared")),
    "sheet-up": index(put("../x.json", "datasets", 0, "contact_sheet", "path")),
    "sheet-changed": ("results/contact_sheets", another_picture),
    "calibration-up": index(put("../x.json", "calibration", "path")),
    "dataset-up": index(put("../x", "datasets", 0, "name")),
    "dataset-twice": index(lambda c: c["datasets"].append(c["datasets"][0])),
    "engines-many": index(put([{"name": f"e{i}", "label": "x"} for i in range(101)], "engines")),
    "no-engines": index(put([], "engines")),
    "class-up": index(put("../..", "machine", "class")),
    "label-very-long": index(put("x" * 10_000, "engines", 0, "label")),
    "title-right-to-left": index(put("a\u202eb", "datasets", 0, "title")),
    "repetition-huge": index(put(LONG, "runs", 0, "repetition")),
    "grid-nan": index(put(float("nan"), "report", "grid_s")),
    "grid-tiny": index(put(1e-300, "report", "grid_s")),
    "parameters-list": index(put([], "parameters")),
    "no-conditions": whole_index(put([], "conditions")),
    "conditions-text": whole_index(put("x", "conditions")),
    "condition-twice": whole_index(lambda c: c["conditions"].append(c["conditions"][0])),
    "condition-null": whole_index(lambda c: c["conditions"].append(None)),
    "swept-unknown": whole_index(put(["batch_size"], "swept")),
    "swept-up": whole_index(put(["../x"], "swept")),
    "swept-number": whole_index(put(5, "swept")),
    "values-other": index(put({"batch_size": LONG}, "values")),
    "manifest-list": of_run("manifest.json", lambda old: b"[]"),
    "manifest-deep": of_run("manifest.json", lambda old: b"[" * 100_000),
    "manifest-other": manifest("other", "run", "engine"),
    "manifest-no-files": manifest({}, "files"),
    "launched-huge": info(LONG, "summary", "launched_unix_ns"),
    "exited-in-years": ("events.jsonl", info(2**62 - 1, "summary", "exited_mono_ns")[1]),
    "exited-before": info(0, "summary", "exited_mono_ns"),
    "rate-infinite": info(float("inf"), "rate_hz"),
    "period-huge": info(1e300, "columns", "rss_bytes", "period_s"),
    "missing-number": info(5, "missing", "rss_bytes"),
    "missing-surrogate": info("\ud800", "missing", "gpu_power_w"),
    "t-huge": event("train_start", "t_unix_ns", LONG),
    "t-infinite": event("end", "t_unix_ns", float("inf")),
    "epoch-text": event("epoch_start", "epoch", "x"),
    "loss-huge": event("epoch_end", "loss", 1e308),
    "loss-infinite": event("epoch_end", "loss", float("inf")),
    "accuracy-huge": event("evaluate_end", "accuracy", 1e308),
    "epochs-true": replaced("events.jsonl", b'"epoch": 1', b'"epoch": true'),
    "epochs-10-9": replaced("events.jsonl", b'"epoch": 3', b'"epoch": 1000000000'),
    "events-deep": of_run("events.jsonl", lambda old: b"[" * 100_000),
    "events-int": of_run("events.jsonl", lambda old: b"5\n" + old),
    "events-out-of-order": event("train_start", "t_unix_ns", T0_NS + 1),
    "event-list": event("end", "event", []),
    "cell-text": cell("rss_bytes", "many"),
    "cell-huge": cell("rss_bytes", "1e308"),
    "cell-overflow": cell("rss_bytes", "1e999"),
    "time-float": cell("t_mono_ns", "1.5"),
    "quote-open": cell("rss_bytes", '"'),
    "csv-empty": of_run("samples.csv", lambda old: b""),
    "csv-long-line": of_run("samples.csv", lambda old: old + b"1" * 10**6),
    "calibration-list": calibration(b"[]"),
    "calibration-text": calibration(b'{"schema": 1, "figures": {"a": 5}}'),
}


@pytest.mark.parametrize("case", CASES)
def test_hostile_content_is_refused(
    case: str, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blamed, build = CASES[case]
    bundle = write_zip(build(files), tmp_path / "bundle.zip")
    assert call(script.main, bundle, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and len(said) < 1000
    assert (
        re.search(rf"\({blamed}|/{blamed}(, line \d+)? in|/r1 in", said)
        and f" in {bundle}): take another" in said
    )
    assert list(tmp_path.iterdir()) == [bundle]
