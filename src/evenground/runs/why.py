"""Why two runs have different keys: what differs between their specifications, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError
from evenground.records.spec import IN_RUN, SPECS, Specification, read_spec, spec_file
from evenground.runs.plan import RUNS
from evenground.validation import did_you_mean

# How parts of a specification are called; others by the names of their fields.
CALLED = {
    "dataset prepared": "prepared arrays of the dataset",
    "machine": "class of machine",
    "repetition": "seed of the repetition",
    "engine name": "engine",
    "dataset name": "dataset",
    "engine code": "engine's code",
    "shared_code": "code that all engines share",
    "environment name": "environment",
    "environment packages": "package",
    "environment sha256": "checksums of the locked packages",
    "image": "recipe of the image",
    "measurement": "version of what the sampler measures",
    "protocol": "version of the events",
}
ABSENT = "nothing"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Named:
    """A run, or all runs of a key, that somebody named."""

    spec: Specification
    machine: str = ""
    """Its class of machine; empty for a key, which stands for all classes and repetitions."""
    repetition: int | None = None

    @property
    def label(self) -> str:
        """Key, dataset and engine, and the repetition of a run."""
        spec = self.spec
        label = f"{spec.key} ({spec.dataset.name}, {spec.engine.name})"
        if self.machine:
            label += f", repetition {self.repetition} on {self.machine}"
        return label


def find(name: str, root: Path) -> Named:
    """The specification behind a key, the beginning of one, or a run directory.

    Raises EvengroundError if there is none, or if the beginning is that of several.
    """
    folder = Path(name)
    if name and folder.is_dir():
        return _recorded(folder, root)
    known = {path.stem: path for path in (root / SPECS).glob("*.json")}
    for path in (root / RUNS).glob(f"*/*/*/*/r*/{IN_RUN}"):
        known.setdefault(path.parents[1].name, path)
    matching = sorted(key for key in known if key.startswith(name))
    if len(matching) == 1:
        key = matching[0]
        return Named(spec=read_spec(known[key], key))
    if matching:
        what = f"{len(matching)} keys begin so"
        raise EvengroundError(what, name, f"name one of them: {', '.join(matching)}")
    what = "neither a key nor a run directory"
    raise EvengroundError(what, name, did_you_mean(name, sorted(known)))


def _recorded(folder: Path, root: Path) -> Named:
    """The specification of the run in `folder`; raises EvengroundError if it has none."""
    run = folder.resolve()
    if not re.fullmatch(r"r\d+", run.name):
        raise _no_run(folder)
    for path in (run / IN_RUN, root / spec_file(run.parent.name)):
        if path.is_file():
            spec = read_spec(path, run.parent.name)
            machine = run.parents[3].name
            return Named(spec=spec, machine=machine, repetition=int(run.name.removeprefix("r")))
    raise _no_run(folder)


def _no_run(folder: Path) -> EvengroundError:
    what = f"no run with a specification is in it (no {IN_RUN})"
    fix = "name a run directory, results/runs/.../KEY/rN, or a key"
    return EvengroundError(what, str(folder), fix)


def differences(first: Named, second: Named) -> list[str]:
    """What decides the result of one run and not of the other, a line for each difference."""
    was, now = _told_once(first.spec.content(), second.spec.content())
    lines = []
    for name in was:
        lines += _differences(name, was[name], now[name])
    # Of a key neither is known: it stands for all of them.
    if first.machine and second.machine:
        lines += _differences("machine", first.machine, second.machine)
        lines += _differences("repetition", _seed(first), _seed(second))
    return lines


def _told_once(*contents: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The contents of two specifications without what follows from another difference."""
    engines = [content["engine"] for content in contents]
    if engines[0]["name"] != engines[1]["name"]:
        for engine in engines:
            del engine["code"], engine["command"], engine["options"]
    locks = [content["environment"] or {"name": None} for content in contents]
    if locks[0]["name"] != locks[1]["name"]:
        for content, lock in zip(contents, locks, strict=True):
            content["environment"] = lock["name"]
    elif locks[0] != locks[1] and locks[0]["packages"] != locks[1]["packages"]:
        for lock in locks:
            del lock["sha256"]
    return contents


def _differences(name: str, was: Any, now: Any, called: str = "") -> list[str]:
    """A line for each difference below a field; `called`: the part of the record that it is in."""
    if was == now:
        return []
    called = CALLED.get(name) or f"{called} {_words(name)}".strip()
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        lines = []
        for inner in sorted(was.keys() | now.keys()):
            lines += _differences(f"{name} {inner}", was.get(inner), now.get(inner), called)
        return lines
    if _SHA256.fullmatch(str(was)) or _SHA256.fullmatch(str(now)):
        return [f"{called}: {_of_contents(was, now)}"]
    return [f"{called}: {_shown(was)} and {_shown(now)}"]


def _words(name: str) -> str:
    """The last part of a field's name; a file's name keeps its underscores."""
    last = name.rpartition(" ")[2]
    return last if "/" in last else last.replace("_", " ")


def _of_contents(was: str | None, now: str | None) -> str:
    """How the contents of two files differ, of which the checksums are known."""
    if was is None:
        return "only in the second"
    if now is None:
        return "only in the first"
    return "differs"


def _shown(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _seed(run: Named) -> int:
    return run.spec.seed + (run.repetition or 0)
