"""Bundles with odd words and files that are allowed: what is drawn from them is sound."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import replay as script
from evenground.report.sheet import Drawing
from made_bundle import Files, call, changed_condition, fixed, save_data, write_zip

ODD = (
    r"_$\frac{a}{ | <script>alert(1)</script> ![x](https://a.example/x) `b` %s {0} &amp; --> ]]> "
    + "x" * 40
)
BAD = ODD + "\n| a | b |\x00\x1b[2J\u202e\n# heading" + "y" * 10**5


def odd_words(content: Any) -> None:
    content["machine"]["description"] = ODD
    content["engines"][0]["label"] = content["engines"][1]["label"] = ODD
    content["datasets"][0]["title"] = ODD
    content["runs"][-1]["reason"] = ODD


def odd_reasons(files: Files) -> Files:
    """Reasons of empty columns and of the calibration that nobody would call reasons."""
    new = dict(files)
    for name, old in files.items():
        if name.endswith("/samples.json"):
            content = json.loads(old)
            content["missing"] = dict.fromkeys(content["missing"], BAD)
            new[name] = json.dumps(content).encode()
        if "/calibration/" in name:
            content = json.loads(old)
            content["figures"]["made"] |= {"what": BAD, "unit": BAD, "reason": BAD, "goal": 1e308}
            new[name] = json.dumps(content).encode()
    return fixed(new)


def test_odd_words_break_no_table_and_no_figure(
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_svg)
    bundle = write_zip(odd_reasons(changed_condition(files, odd_words)), tmp_path / "bundle.zip")
    assert call(script.main, bundle, "--output-dir", tmp_path / "out") == 1
    assert "no table to compare with" in (said := capsys.readouterr().err) and len(said) < 1000
    redrawn = tmp_path / "out" / "redrawn"
    figures, tables = sorted(redrawn.glob("figures/*.svg")), sorted(redrawn.glob("tables/*.md"))
    assert (len(figures), len(tables)) == (12, 16)
    for path in figures:
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not tags & {"script", "a", "foreignObject"}, path.name
        assert ("image" in tags) == path.name.startswith("samples_")
    for path in tables:
        sound(path.read_text())


def save_svg(drawing: Drawing, folder: Path) -> None:
    """As `sheet.save`, without the PNG, which takes most of the time."""
    save_data(drawing, folder)
    words = {"Title": drawing.title, "Description": drawing.caption}
    drawing.figure.savefig(folder / f"{drawing.name}.svg", metadata=words)


def sound(text: str) -> None:
    """A Markdown file with a heading, one table, its columns, and neither HTML nor a link."""
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [line for line in lines if line.startswith("#")] == [lines[0], "## Columns"]
    first = lines.index(rows[0])
    assert lines[first : first + len(rows)] == rows
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "<" not in text and not re.search(r"(?<!\\)\[", text)
    assert all(line.isprintable() for line in lines)


def test_files_elsewhere_are_not_looked_for_and_no_samples_are_missing_values(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenground.bundle.replay.draw_all", lambda material, folder: [])
    monkeypatch.setattr("evenground.bundle.replay.write_page", lambda *_: None)
    new = {
        n: c.splitlines()[0] + b"\n" if n.endswith("/samples.csv") else c for n, c in files.items()
    }
    for name in [name for name in files if name.endswith("/manifest.json")]:
        content = json.loads(files[name])
        content["files"]["../../../../../../x"] = "0" * 64
        new[name] = json.dumps(content).encode()
    bundle = write_zip(fixed(new), tmp_path / "bundle.zip")
    assert call(script.main, bundle, "--output-dir", tmp_path / "out") == 1
    table = (tmp_path / "out" / "redrawn" / "tables" / "resources.md").read_text()
    assert re.search(
        r"\| tiny \| fake_a \| 2 \| \d \| \d \| machine_used_bytes \| MiB \| 0 \|", table
    )
    assert {path.name for path in tmp_path.iterdir()} == {"bundle.zip", "out"}
