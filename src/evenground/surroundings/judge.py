"""What a training's surroundings say against it: faults, and differences between runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from evenground import judged
from evenground.judged import Compared, Judged, unless_missing
from evenground.records.surroundings import SurroundingsRecord, Variable

# How the image was made readable -> why a start was cold.
COLD = {
    None: "it was the first of its engine",
    "mounted": "its image was just mounted",
    "unpacked": "its image was just unpacked",
}
# What runs of one engine should have in common. Which GPUs it sees, the scheduler decides.
COMPARED = ("image", "PATH", "LD_LIBRARY_PATH", "process", "mounts")


def foreign_code(record: SurroundingsRecord) -> Judged:
    """How many files from elsewhere the engine ran as code."""
    if record.foreign is None:
        return Judged(None)
    text = _first(record.foreign)
    return unless_missing(record, ("foreign", "mapped"), len(record.foreign), text)


def image_mounts(record: SurroundingsRecord) -> Judged:
    """How many folders of the image something else was mounted over."""
    if record.mounts is None:
        return Judged(None)
    return unless_missing(record, ("mounts",), len(record.mounts), _first(record.mounts))


def cold_start(record: SurroundingsRecord) -> Judged:
    """Whether everything that the training read was still to be read from the disk."""
    if record.cold_start is None:
        return Judged(None)
    if "image" in record.missing:
        return Judged(float(record.cold_start))
    return Judged(float(record.cold_start), COLD[record.image])


# Name of a fault -> the function that judges it.
FAULTS: Mapping[str, Callable[[SurroundingsRecord], Judged]] = {
    judge.__name__: judge for judge in (foreign_code, image_mounts, cold_start)
}


def compared(record: SurroundingsRecord, in_image: bool) -> Compared:
    """The values of COMPARED that are known: folders in their order, everything else sorted."""
    known: dict[str, Sequence[str]] = {}
    if record.image is not None:
        known["image"] = [record.image]
    elif not in_image:
        known["image"] = ["none"]
    if record.variables is not None and "variables" not in record.missing:
        known["PATH"] = _folders(record.variables, "PATH")
        known["LD_LIBRARY_PATH"] = _folders(record.variables, "LD_LIBRARY_PATH")
    if record.process is not None:
        known["process"] = judged.pairs(record.process)
    if record.mounts is not None:
        known["mounts"] = sorted(set(record.mounts))
    return {name: values for name, values in known.items() if name not in record.missing}


def _folders(variables: Mapping[Variable, str], name: Variable) -> Sequence[str]:
    """The folders of a search path; empty if the variable is empty or not set."""
    text = variables.get(name, "")
    if not text:
        return []
    # A second mention changes nothing, and an empty entry is the working folder.
    return list(dict.fromkeys(entry or "." for entry in text.split(":")))


def differences(runs: Sequence[Compared]) -> list[str]:
    """Describe each of COMPARED that is not the same in all runs in which it is known."""
    return judged.differences(COMPARED, runs)


def _first(paths: Iterable[str]) -> str:
    return judged.first([judged.shown(path) for path in paths])
