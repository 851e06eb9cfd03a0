"""Lines of code: of each engine, and of the thesis's trainers if its author's files are at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenground.digests import files_below
from evenground.files import csv_rows, sha256_file
from evenground.records.index import CodeLines, EngineLines, ThesisLines
from evenground.records.plan import Engine, PlanFile

if TYPE_CHECKING:
    from pygount import SourceAnalysis

# The files that the thesis counted; they have no licence and are not part of this project.
THESIS_CODE = Path("data/published/thesis-code.csv")
AT_HAND = Path("data/thesis-code")
# The folder of an engine's own tests, which are not counted: engines that have theirs in tests/
# would count fewer lines.
TESTS = "test"


def count_lines(plan: PlanFile, root: Path) -> CodeLines:
    """Lines per engine and language, and per trainer of the thesis.

    Raises EvengroundError for a missing source and for a broken list of the thesis's files.
    """
    engines: dict[str, Engine] = {}
    for condition in plan.conditions:
        for engine in condition.engines:
            # An arm has the code of its engine.
            if engine.arm_of is None:
                engines.setdefault(engine.name, engine)
    rows = []
    for engine in engines.values():
        sources = [root / source for source in plan.sources[engine.name]]
        for language, lines in _by_language(sources):
            of_engine = {"engine": engine.name, "language": language}
            rows.append(EngineLines.model_validate(of_engine | lines))
    counter = f"pygount {version('pygount')}"
    return CodeLines(counter=counter, engines=tuple(rows), thesis=tuple(_thesis(root)))


def thesis_files(root: Path) -> list[Path]:
    """The author's files that are at hand, relative to `root`."""
    wanted = {AT_HAND / row["path"] for row in _listed(root)}
    return sorted(path for path in wanted if (root / path).is_file())


def _by_language(sources: Iterable[Path]) -> list[tuple[str, dict[str, int]]]:
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
    return sorted(sums, key=lambda item: (-item[1]["code_lines"], item[0]))


def _count(file: Path) -> SourceAnalysis:
    # Slow to import, and every invocation imports this module to name its inputs.
    from pygount import SourceAnalysis

    return SourceAnalysis.from_file(str(file), "", encoding="utf-8")


def _sum(counted: Sequence[SourceAnalysis]) -> dict[str, int]:
    """Physical lines, and those of them that hold code or only a comment; the rest are blank."""
    return {
        "files": len(counted),
        "lines": sum(file.line_count for file in counted),
        "code_lines": sum(file.source_count for file in counted),
        "comment_lines": sum(file.documentation_count for file in counted),
    }


def _listed(root: Path) -> list[dict[str, str]]:
    return csv_rows(root / THESIS_CODE, "the list of counted files")


def _thesis(root: Path) -> list[ThesisLines]:
    """Per instrument and trainer its lines, or why they cannot be counted."""
    trainers: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in _listed(root):
        trainers[row["instrument"], row["code"]].append(row)
    return [
        ThesisLines.model_validate({"instrument": instrument, "code": code} | _counted(rows, root))
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
    return _sum(counted) | {"sha256": {row["path"]: row["sha256"] for row in rows}}
