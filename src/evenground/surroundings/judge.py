"""What of a training's surroundings speaks against it: a size and words for each fault, and differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from evenground import judged
from evenground.judged import Compared, Judged, unless_missing
from evenground.surroundings.record import SurroundingsRecord, Variable

COLD = {
    None: "it was the first of its engine",
    "mounted": "its image was just mounted",
    "unpacked": "its image was just unpacked",
}
COMPARED = ("image", "PATH", "LD_LIBRARY_PATH", "process", "mounts")
"""What runs of one engine should have in common. Which GPUs are seen is the scheduler's to say."""
NO_IMAGE = "none"


def foreign_code(record: SurroundingsRecord) -> Judged:
    """Files from elsewhere that the engine ran as code."""
    if record.foreign is None:
        return Judged(None)
    return unless_missing(record, ("foreign", "mapped"), len(record.foreign), _few(record.foreign))


def image_mounts(record: SurroundingsRecord) -> Judged:
    """Folders of the image that something else was mounted over."""
    if record.mounts is None:
        return Judged(None)
    return unless_missing(record, ("mounts",), len(record.mounts), _few(record.mounts))


def cold_start(record: SurroundingsRecord) -> Judged:
    """Whether all that it read was still to be read from the disk."""
    cold = record.cold_start
    why = "" if "image" in record.missing else COLD[record.image]
    return Judged(None if cold is None else float(cold), why)


FAULTS: Mapping[str, Callable[[SurroundingsRecord], Judged]] = {
    judge.__name__: judge for judge in (foreign_code, image_mounts, cold_start)
}
"""Name of a fault -> what judges it."""


def compared(record: SurroundingsRecord, in_image: bool) -> Compared:
    """What is known of COMPARED: of paths their folders in order, of the rest single facts."""
    image = record.image or (None if in_image else NO_IMAGE)
    mounts = None if record.mounts is None else sorted(set(record.mounts))
    values = {
        "image": None if image is None else [image],
        "PATH": _folders(record, "PATH"),
        "LD_LIBRARY_PATH": _folders(record, "LD_LIBRARY_PATH"),
        "process": _facts(record.process),
        "mounts": mounts,
    }
    return {
        name: value
        for name, value in values.items()
        if value is not None and name not in record.missing
    }


def _facts(process: Mapping[str, str] | None) -> Sequence[str] | None:
    return (
        None if process is None else [f"{name} {value}" for name, value in sorted(process.items())]
    )


def _folders(record: SurroundingsRecord, name: Variable) -> Sequence[str] | None:
    """Where a variable has programs and libraries looked for; nowhere where it is empty or not set."""
    if record.variables is None or "variables" in record.missing:
        return None
    text = record.variables.get(name, "")
    # A second mention changes nothing, and an empty entry is the working folder.
    return list(dict.fromkeys(entry or "." for entry in text.split(":"))) if text else []


def differences(runs: Sequence[Compared]) -> list[str]:
    """In words, each of COMPARED that is not the same in all runs of which it is known."""
    return judged.differences(COMPARED, runs, "the same folders in another order")


def _few(paths: Iterable[str]) -> str:
    return judged.first([judged.shown(path) for path in paths])
