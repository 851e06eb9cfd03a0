"""Lines of code: of each engine, and of the trainers of the thesis where its author's files are at hand."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pygount import SourceAnalysis

from evenground.errors import EvengroundError
from evenground.files import files_below, sha256_file

# What the thesis counted, file by file; the files have no licence and are not part of this project.
THESIS_CODE = Path("data/published/thesis-code.csv")
AT_HAND = Path("data/thesis-code")
# The folder of an engine's own tests: what others have in tests/ is not counted for them either.
TESTS = "test"


@dataclass(frozen=True)
class Lines:
    """Physical lines, and those of them that hold code or only a comment; the rest are blank."""

    files: int
    lines: int
    code_lines: int
    comment_lines: int


def count_lines(engines: Sequence[Mapping[str, Any]], root: Path) -> dict[str, Any]:
    """What `index.json` says of lines: per engine and language, and per trainer of the thesis.

    `engines` are entries of `plan.json`; an arm has the code of its engine and is not counted. Raises
    EvengroundError for a source that is missing and for a broken list of the thesis's files.
    """
    return {
        "counter": f"pygount {version('pygount')}",
        "engines": [
            {"engine": engine["name"], "language": language, **asdict(lines)}
            for engine in engines
            if engine["arm_of"] is None
            for language, lines in _by_language(
                root / source for source in engine["sources"]
            ).items()
        ],
        "thesis": _thesis(root),
    }


def thesis_files(root: Path) -> list[Path]:
    """The author's files that are at hand, below `root`."""
    wanted = {AT_HAND / row["path"] for row in _listed(root)}
    return sorted(path for path in wanted if (root / path).is_file())


def _by_language(sources: Iterable[Path]) -> dict[str, Lines]:
    """Language -> lines of the sources without their tests, the language with the most code first."""
    found: dict[str, list[SourceAnalysis]] = {}
    for file in sorted({file for source in sources for file in _code(source)}):
        counted = _count(file)
        if counted.is_countable:
            found.setdefault(counted.language, []).append(counted)
    summed = {language: _sum(counted) for language, counted in found.items()}
    return dict(sorted(summed.items(), key=lambda item: (-item[1].code_lines, item[0])))


def _code(source: Path) -> list[Path]:
    return [file for file in files_below(source) if TESTS not in file.relative_to(source).parts]


def _count(file: Path) -> SourceAnalysis:
    return SourceAnalysis.from_file(str(file), "", encoding="utf-8")


def _sum(counted: Sequence[SourceAnalysis]) -> Lines:
    return Lines(
        len(counted),
        sum(one.line_count for one in counted),
        sum(one.source_count for one in counted),
        sum(one.documentation_count for one in counted),
    )


def _listed(root: Path) -> list[dict[str, str]]:
    path = root / THESIS_CODE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvengroundError(
            f"the list of counted files cannot be read: {error}", str(path), "restore it"
        ) from None


def _thesis(root: Path) -> list[dict[str, Any]]:
    """Per instrument and trainer its lines, or why they cannot be counted."""
    sets: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in _listed(root):
        sets.setdefault((row["instrument"], row["code"]), []).append(row)
    return [
        {"instrument": instrument, "code": code, **_counted(rows, root)}
        for (instrument, code), rows in sets.items()
    ]


def _counted(rows: Sequence[Mapping[str, str]], root: Path) -> dict[str, Any]:
    files = [root / AT_HAND / row["path"] for row in rows]
    for row, file in zip(rows, files, strict=True):
        if not file.is_file():
            return {"absent": f"the author's file is not at hand: {AT_HAND / row['path']}"}
        if sha256_file(file) != row["sha256"]:
            return {
                "absent": f"not the file that was counted, its sha256 differs: {AT_HAND / row['path']}"
            }
    sums = {row["path"]: row["sha256"] for row in rows}
    return {**asdict(_sum([_count(file) for file in files])), "sha256": sums}
