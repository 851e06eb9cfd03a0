"""What Apptainer is told beside the image: by the pipeline, the caller's arguments and a site's variables."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

from evenground.errors import EvengroundError

# GPU and driver, and no variable of the caller's: whatever else Apptainer is told.
ALWAYS = ("--nv", "--cleanenv")
# It obeys its variables under its older name, too.
NAMES = ("APPTAINER", "SINGULARITY")
SHORT = {
    "B": "bind",
    "C": "containall",
    "H": "home",
    "S": "scratch",
    "W": "workdir",
    "c": "contain",
    "e": "cleanenv",
    "f": "fakeroot",
    "i": "ipc",
    "n": "net",
    "o": "overlay",
    "p": "pid",
    "u": "userns",
    "w": "writable",
}
# Of these, what stands behind the letter is the value.
VALUED = {"bind", "home", "overlay", "scratch", "workdir"}
# Variables that are called otherwise than their flag.
OTHER_NAMES = {"overlayimage": "overlay", "scratchdir": "scratch", "appname": "app"}
OFF = {"", "0", "f", "false"}
# Of these, 0 is a value.
NUMBERED = {"cpuset-cpus", "cpuset-mems"}
# What these hold is for the inside of every container; PREPEND_PATH and the like are among the former.
_FOR_INSIDE = re.compile(r"(APPTAINER|SINGULARITY)(ENV_.*|_ENV|_ENV_FILE|_ENVFILE)")


def is_for_inside(variable: str) -> bool:
    """Whether a variable's value would be one inside of containers, whatever `--cleanenv` says."""
    return _FOR_INSIDE.fullmatch(variable) is not None


def with_always(arguments: str) -> str:
    """The caller's arguments with ours, which come last and so hold."""
    ours = " ".join(ALWAYS)
    return (
        arguments
        if arguments.split()[-len(ALWAYS) :] == list(ALWAYS)
        else f"{arguments} {ours}".strip()
    )


def tell(environ: dict[str, str], folders: Iterable[str], cwd: str) -> None:
    """Change the environment of calls of Apptainer: `folders` are bound, and nothing of a site's gets inside.

    What a site binds stays bound, under whichever name it says so.
    """
    for name in [name for name in environ if is_for_inside(name)]:
        del environ[name]
    for name in NAMES:
        # With it Apptainer deletes an image file that it has unpacked.
        environ.pop(f"{name}_DISABLE_CACHE", None)
        # A site's libraries, beside the driver's: where an engine looks for its own first.
        environ.pop(f"{name}_CONTAINLIBS", None)
    binds = _taken(environ, ("BIND", "BINDPATH"))
    mounts = _taken(environ, ("MOUNT",))
    # A second reading of the Snakefile, in a job, finds ours there.
    known = [line for text in mounts for line in text.split("\n")]
    mounts += [mount for mount in map(mount_of, folders) if mount not in known]
    if binds:
        environ["APPTAINER_BIND"] = ",".join(binds)
    if mounts:
        environ["APPTAINER_MOUNT"] = "\n".join(mounts)
    # The path by which the caller came here may have links in it; Apptainer would begin in that one inside.
    environ["PWD"] = cwd


def _taken(environ: dict[str, str], kinds: Sequence[str]) -> list[str]:
    """The values of some variables under all their names, which are gone then."""
    values = [environ.pop(f"{name}_{kind}", "") for name in NAMES for kind in kinds]
    return list(dict.fromkeys(filter(None, values)))


def mount_of(folder: str) -> str:
    """A bind of a folder to the same place, whatever signs its path has.

    In a list of binds Apptainer 1.4 loses others beside one with an escaped `,` or `:` in it.
    """
    fields = (f"{name}={folder}".replace('"', '""') for name in ("source", "destination"))
    return ",".join(["type=bind", *(f'"{field}"' for field in fields)])


def binds_in(text: str) -> list[str]:
    """The binds of a list of them, each as it is written there."""
    return [bind for bind in re.split(r"(?<!\\),", text) if bind]


def parts_of(bind: str) -> tuple[str, str]:
    """What a bind (SOURCE, SOURCE:TARGET or with options) binds, and where that is seen inside."""
    parts = [re.sub(r"\\([:,])", r"\1", part) for part in re.split(r"(?<!\\):", bind)]
    return parts[0], parts[1] if len(parts) > 1 else parts[0]


def refuse(arguments: str, cwd: str) -> None:
    """EvengroundError for what nothing may be started with, not even once: a broken path, a lost image."""
    for sign, who in (":", "Apptainer parts it"), ("{", "Snakemake looks for a wildcard"):
        if sign in cwd:
            what = f"the working copy has '{sign}' in its path, where {who}"
            raise EvengroundError(what, cwd, "move it to another path")
    try:
        given = options_in(arguments)
    except ValueError as error:
        what = f"a shell cannot read it: {error}"
        raise EvengroundError(what, "--apptainer-args", "close what is open there") from None
    for word in shlex.split(arguments):
        if word == "--" or word.startswith("#"):
            what = f"what stands behind {word} does not reach Apptainer as an option"
            raise EvengroundError(what, "--apptainer-args", "leave it out")
    if any(option.name == "disable-cache" for option in given):
        what = "Apptainer deletes an image that it has unpacked where it is told --disable-cache"
        raise EvengroundError(what, "--apptainer-args", "leave it out")


@dataclass(frozen=True)
class Option:
    """One option of the caller's."""

    name: str
    """The long one, without `--`."""
    value: str
    """What follows it; of a switch that means nothing."""
    word: str
    """As it was given."""
    whole: str
    """The same with its value."""

    @property
    def is_off(self) -> bool:
        """Whether it is a switch that is turned off."""
        return "=" in self.word and _is_off(self.name, self.value)


def options_in(arguments: str) -> list[Option]:
    """The options among the caller's arguments; ValueError for what no shell can read."""
    words = shlex.split(arguments)
    return [option for word, after in pairwise([*words, ""]) for option in _options(word, after)]


def _options(word: str, after: str) -> Iterator[Option]:
    """Of a word: a long option, or short ones behind one another."""
    if word.startswith("--"):
        begin, is_joined, joined = word.partition("=")
        value, whole = (joined, word) if is_joined else (after, f"{word} {after}".strip())
        yield Option(begin.removeprefix("--"), value, word, whole)
    elif word.startswith("-"):
        yield from _short_ones(word, after)


def _short_ones(word: str, after: str) -> Iterator[Option]:
    for place, letter in enumerate(word[1:], start=2):
        name, rest = SHORT.get(letter, ""), word[place:]
        if name in VALUED or rest.startswith("="):
            value = rest.removeprefix("=")
            yield Option(name, value or after, word, word if value else f"{word} {after}".strip())
            return
        if name:
            yield Option(name, after, word, f"{word} {after}".strip())


def who_says(flags: Sequence[str], environ: Mapping[str, str], arguments: str) -> list[str]:
    """By what Apptainer was told one of `flags`: what to do about variables and arguments, in words.

    A flag is its long name without `--`; `no-mount=proc` is meant only where its value names `proc`.
    """
    found = [f"unset {name}" for name, value in environ.items() if _is_one(name, value, flags)]
    options = [option for option in options_in(arguments) if not option.is_off]
    switches = [option.word for option in options if option.name in flags]
    valued = [option.whole for option in options if _names(option.name, option.value, flags)]
    return [*found, *(f"leave {given} out of --apptainer-args" for given in [*switches, *valued])]


def _is_one(variable: str, value: str, flags: Sequence[str]) -> bool:
    prefix, _, rest = variable.partition("_")
    name = rest.lower().replace("_", "-").removeprefix("unshare-").removeprefix("target-")
    flag = OTHER_NAMES.get(name, name)
    if prefix not in NAMES or _is_off(flag, value):
        return False
    return flag in flags or _names(flag, value, flags)


def _is_off(flag: str, value: str) -> bool:
    return value.strip().lower() in OFF and flag not in NUMBERED


def _names(flag: str, value: str, flags: Sequence[str]) -> bool:
    """Whether `value` names one of the values that are meant."""
    return any(f"{flag}={one.strip()}" in flags for one in value.split(","))


@dataclass(frozen=True)
class Told:
    """What Apptainer is told in this call of the pipeline, beside image and command."""

    arguments: str
    """The caller's, with ours."""
    bound: list[str]
    """Folders of Snakemake's own that it binds."""
    ours: list[str]
    """What lies outside of the working copy and is bound for trainings."""
    mounted: list[str] = field(default_factory=list)
    """Where the machine itself has something mounted below the working copy, as it is seen inside."""

    def text(self) -> str:
        """For a script's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Told:
        """Of a script's command line."""
        return cls(**json.loads(text))
