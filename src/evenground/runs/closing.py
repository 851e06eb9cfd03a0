"""The last words of an invocation: which runs failed, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.runs.attempt import unfinished_mark
from evenground.runs.index import unfinished
from evenground.runs.plan import ATTEMPTS, MARK, OUTCOME
from evenground.runs.study import Part, Study
from evenground.runs.training import LOG

# Of an outcome's detail so much is shown.
SHOWN_CHARACTERS = 200


def closing_lines(study: Study, judged: bool, broken: bool = False) -> list[str]:
    """What to say at an invocation's end: nothing where no training of it failed.

    With `judged` the invocation came to its last step, which looks at all wanted runs: then those are named, too,
    that failed in an earlier invocation or cannot be read any more, and those without any attempt are counted.
    With `broken` a job failed: then those are counted that it kept from being trained.
    """
    failed = dict(_of_this_invocation(study))
    missing = 0
    if broken and not judged:
        missing = _not_begun(study)
    for part in study.parts if judged else ():
        for run in _not_finished(part):
            run_path = _run_path(part, run)
            if run["status"] == "missing":
                missing += 1
            elif run_path not in failed:
                failed[run_path] = _words(study, run_path, run["attempts"]) or str(run["reason"])
    if not failed and not missing:
        return []
    ranked = sorted(failed, key=lambda run_path: study.ranks.get(run_path, 0))
    lines = [f"  {_name(study, run_path)}: {failed[run_path]}" for run_path in ranked]
    more = [f"  {missing} more were not trained"] if missing else []
    return [
        f"{len(failed) + missing} of {len(study.by_path)} wanted runs did not finish:",
        *lines,
        *more,
    ]


def _of_this_invocation(study: Study) -> Iterator[tuple[Path, str]]:
    """Place and words of each training of this invocation that failed."""
    for run_path, attempt in study.pending.items():
        if words := _words(study, run_path, attempt):
            yield run_path, words


def _not_begun(study: Study) -> int:
    """How many trainings of this invocation did not begin; 0 where it failed before the first of them."""
    folders = [
        study.first.root / ATTEMPTS / run_path / str(attempt)
        for run_path, attempt in study.pending.items()
    ]
    begun = [
        folder for folder in folders if (folder / MARK).is_file() or (folder / OUTCOME).is_file()
    ]
    if not begun:
        return 0
    return len(folders) - len(begun)


def _words(study: Study, run_path: Path, attempt: int) -> str:
    """How an attempt failed, and where its log is; empty where it did not fail."""
    folder = ATTEMPTS / run_path / str(attempt)
    mark = unfinished_mark(study.first.root / folder)
    if mark:
        job = f", Slurm's job {mark.job}," if mark.job else ""
        return f"its process{job} on {mark.host} ended without an outcome; the next invocation records why ({folder})"
    try:
        ended = read_json(study.first.root / folder / OUTCOME)
    except EvengroundError:
        return ""
    if ended["status"] != "failed":
        return ""
    detail = " ".join(str(ended["detail"]).split())[:SHOWN_CHARACTERS]
    # A failed warm-up has a log of its own.
    logs = [folder / made / LOG for made in ("run", "warm_up")]
    there = [str(log) for log in logs if (study.first.root / log).is_file()]
    return f"{ended['reason']}: {detail} ({there[0] if there else folder})"


def _not_finished(part: Part) -> list[dict[str, Any]]:
    """The unfinished runs in the index of a part; none where it has no index."""
    try:
        return unfinished(read_json(part.plan.root / part.results / "index.json"))
    except EvengroundError:
        return []


def _run_path(part: Part, run: dict[str, Any]) -> Path:
    names = (part.plan.machine, run["dataset"], run["engine"], run["key"], f"r{run['repetition']}")
    return Path(*names)


def _name(study: Study, run_path: Path) -> str:
    """The run in words; of several parts with the part's name."""
    _, dataset, engine, _, repetition = run_path.parts
    named = f"{dataset} {engine} {repetition}"
    if len(study.parts) == 1 or run_path not in study.by_path:
        return named
    return f"{named} of {Path(study.by_path[run_path][0].name).name}"
