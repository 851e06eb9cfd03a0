"""Lines of code: of each engine, and of the thesis's trainers if its author's files are at hand."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenground.digests import files_below
from evenground.errors import EvengroundError
from evenground.files import sha256_file

if TYPE_CHECKING:
    from pygount import SourceAnalysis

# The files that the thesis counted; they have no licence and are not part of this project.
THESIS_CODE = Path("data/published/thesis-code.csv")
AT_HAND = Path("data/thesis-code")
# The folder of an engine's own tests, which are not counted: engines that have theirs in tests/
# would count fewer lines.
TESTS = "test"


@dataclass(frozen=True)
class Lines:
    """Physical lines, and those of them that hold code or only a comment; the rest are blank."""

    files: int
    lines: int
    code_lines: int
    comment_lines: int


def count_lines(engines: Sequence[Mapping[str, Any]], root: Path) -> dict[str, Any]:
    """Lines per engine and language, and per trainer of the thesis, as `index.json` has them.

    `engines` are entries of `plan.json`. Raises EvengroundError for a missing source and for a
    broken list of the thesis's files.
    """
    rows: list[dict[str, Any]] = []
    for engine in engines:
        # An arm has the code of its engine.
        if engine["arm_of"] is not None:
            continue
        for language, lines in _by_language([root / source for source in engine["sources"]]):
            rows.append({"engine": engine["name"], "language": language, **asdict(lines)})
    return {
        "counter": f"pygount {version('pygount')}",
        "engines": rows,
        "thesis": _thesis(root),
    }


def thesis_files(root: Path) -> list[Path]:
    """The author's files that are at hand, relative to `root`."""
    wanted = {AT_HAND / row["path"] for row in _listed(root)}
    return sorted(path for path in wanted if (root / path).is_file())


def _by_language(sources: Iterable[Path]) -> list[tuple[str, Lines]]:
    """Each language with its lines, without tests, the language with the most code first."""
    # Sources may overlap: each file counts once.
    files: set[Path] = set()
    for source in sources:
        files.update(
            file for file in files_below(source) if TESTS not in file.relative_to(source).parts
        )
    of_language: dict[str, list[SourceAnalysis]] = defaultdict(list)
    for file in sorted(files):
        counted = _count(file)
        if counted.is_countable:
            of_language[counted.language].append(counted)
    sums = [(language, _sum(counted)) for language, counted in of_language.items()]
    return sorted(sums, key=lambda item: (-item[1].code_lines, item[0]))


def _count(file: Path) -> SourceAnalysis:
    # Slow to import, and every invocation imports this module to name its inputs.
    from pygount import SourceAnalysis

    return SourceAnalysis.from_file(str(file), "", encoding="utf-8")


def _sum(counted: Sequence[SourceAnalysis]) -> Lines:
    return Lines(
        files=len(counted),
        lines=sum(file.line_count for file in counted),
        code_lines=sum(file.source_count for file in counted),
        comment_lines=sum(file.documentation_count for file in counted),
    )


def _listed(root: Path) -> list[dict[str, str]]:
    path = root / THESIS_CODE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"the list of counted files cannot be read: {error}"
        raise EvengroundError(what, str(path), "restore it") from None


def _thesis(root: Path) -> list[dict[str, Any]]:
    """Per instrument and trainer its lines, or why they cannot be counted."""
    trainers: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in _listed(root):
        trainers[row["instrument"], row["code"]].append(row)
    return [
        {"instrument": instrument, "code": code, **_counted(rows, root)}
        for (instrument, code), rows in trainers.items()
    ]


def _counted(rows: Sequence[Mapping[str, str]], root: Path) -> dict[str, Any]:
    counted: list[SourceAnalysis] = []
    for row in rows:
        path = AT_HAND / row["path"]
        if not (root / path).is_file():
            return {"absent": f"the author's file is not at hand: {path}"}
        if sha256_file(root / path) != row["sha256"]:
            return {"absent": f"not the file that was counted, its sha256 differs: {path}"}
        counted.append(_count(root / path))
    sums = {row["path"]: row["sha256"] for row in rows}
    return {**asdict(_sum(counted)), "sha256": sums}
