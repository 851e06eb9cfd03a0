"""The options of Apptainer: from the pipeline, the caller's arguments and a site's variables."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

from evenground.errors import EvengroundError

# Where images keep both Pythons and the engine's code.
IMAGE_FOLDER = "/opt/evenground"
# Always given: the GPU and its driver, and no variable of the caller's.
ALWAYS = ["--nv", "--cleanenv"]
# Apptainer obeys its variables also under its older name.
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
# Short options whose value may follow the letter directly.
VALUED = {"bind", "home", "overlay", "scratch", "workdir"}
# Variables whose names differ from their options.
OTHER_NAMES = {"overlayimage": "overlay", "scratchdir": "scratch", "appname": "app"}
# What Apptainer reads as false.
OFF = {"", "0", "f", "false"}
# Options for which 0 is a number.
NUMBERED = {"cpuset-cpus", "cpuset-mems"}
# Their values get inside every container in spite of `--cleanenv`; APPTAINERENV_PREPEND_PATH and
# the like are among them.
_FOR_INSIDE = re.compile(r"(APPTAINER|SINGULARITY)(ENV_.*|_ENV|_ENV_FILE|_ENVFILE)")


def is_for_inside(variable: str) -> bool:
    """Whether Apptainer sets a variable inside containers because of this one."""
    return _FOR_INSIDE.fullmatch(variable) is not None


def with_always(arguments: str) -> str:
    """The caller's arguments with ours at the end, where they override earlier ones."""
    if arguments.split()[-len(ALWAYS) :] == ALWAYS:
        return arguments
    return " ".join([arguments, *ALWAYS]).strip()


def prepare_environ(environ: MutableMapping[str, str], folders: Iterable[str], cwd: str) -> None:
    """Change the variables for calls of Apptainer: bind `folders`, pass on nothing of a site's.

    What a site binds stays bound, by whichever variable.
    """
    for name in list(environ):
        if is_for_inside(name):
            del environ[name]
    for name in NAMES:
        # With it Apptainer deletes an image file that it has unpacked.
        environ.pop(f"{name}_DISABLE_CACHE", None)
        # Libraries of a site, which would lie beside the driver's, where engines look first.
        environ.pop(f"{name}_CONTAINLIBS", None)
    binds = _taken(environ, ["BIND", "BINDPATH"])
    mounts = _taken(environ, ["MOUNT"])
    # A job reads the Snakefile again, in an environment that has our mounts already.
    known = "\n".join(mounts).split("\n")
    mounts += [mount for mount in map(mount_of, folders) if mount not in known]
    if binds:
        environ["APPTAINER_BIND"] = ",".join(binds)
    if mounts:
        environ["APPTAINER_MOUNT"] = "\n".join(mounts)
    # Apptainer starts in $PWD inside, but a path with links in it may not exist there.
    environ["PWD"] = cwd


def _taken(environ: MutableMapping[str, str], kinds: Sequence[str]) -> list[str]:
    """Remove some variables under both names, and return their different values."""
    values: list[str] = []
    for name in NAMES:
        values += [environ.pop(f"{name}_{kind}", "") for kind in kinds]
    return [value for value in dict.fromkeys(values) if value]


def mount_of(folder: str) -> str:
    """A bind of a folder to the same path, which may have any characters.

    In a list of binds Apptainer 1.4 loses those beside one with an escaped `,` or `:` in it.
    """
    path = folder.replace('"', '""')
    return f'type=bind,"source={path}","destination={path}"'


def binds_in(text: str) -> list[str]:
    """Split a list of binds; each keeps its escapes."""
    return [bind for bind in re.split(r"(?<!\\),", text) if bind]


def parts_of(bind: str) -> tuple[str, str]:
    """The source of a bind (SOURCE, SOURCE:TARGET or with options), and its target inside."""
    parts = [re.sub(r"\\([:,])", r"\1", part) for part in re.split(r"(?<!\\):", bind)]
    # Without a target it is seen at the same path.
    if len(parts) == 1:
        return parts[0], parts[0]
    return parts[0], parts[1]


def refuse(arguments: str, cwd: str) -> None:
    """Raise EvengroundError for a path and for arguments with which no container works."""
    for sign, reason in {":": "Apptainer parts it", "{": "Snakemake looks for a wildcard"}.items():
        if sign in cwd:
            what = f"the working copy has '{sign}' in its path, where {reason}"
            raise EvengroundError(what, cwd, "move it to another path")
    where = "--apptainer-args"
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        what = f"a shell cannot read it: {error}"
        raise EvengroundError(what, where, "close what is open there") from None
    for word in words:
        if word == "--" or word.startswith("#"):
            what = f"what stands behind {word} does not reach Apptainer as an option"
            raise EvengroundError(what, where, "leave it out")
    if any(option.name == "disable-cache" for option in options_in(arguments)):
        what = "Apptainer deletes an image that it has unpacked if --disable-cache is set"
        raise EvengroundError(what, where, "leave it out")


@dataclass(frozen=True)
class Option:
    """One option among the caller's arguments."""

    name: str
    """The long one, without `--`."""
    value: str
    """The next argument, if none is joined to the option; without meaning for a switch."""
    switch: str
    """As it was given, without a value from the next argument."""
    text: str
    """As it was given, with its value."""

    @property
    def is_off(self) -> bool:
        """Whether it is a switch that is turned off."""
        return "=" in self.switch and _is_off(self.name, self.value)


def options_in(arguments: str) -> list[Option]:
    """The options among the caller's arguments; raises ValueError for unbalanced quotes."""
    words = shlex.split(arguments)
    options: list[Option] = []
    for word, after in pairwise(words + [""]):
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            options.append(_option(name, value if equals else None, word, after))
        elif word.startswith("-"):
            options += _short_options(word, after)
    return options


def _short_options(word: str, after: str) -> Iterator[Option]:
    """The options in a word such as `-eC` or `-B/data`."""
    for place, letter in enumerate(word[1:], start=2):
        name, rest = SHORT.get(letter, ""), word[place:]
        if name in VALUED or rest.startswith("="):
            yield _option(name, rest.removeprefix("=") or None, word, after)
            return
        if name:
            yield _option(name, None, word, after)


def _option(name: str, joined: str | None, word: str, after: str) -> Option:
    """An option with the value that is joined to it, else with the next argument as its value."""
    if joined is not None:
        return Option(name=name, value=joined, switch=word, text=word)
    return Option(name=name, value=after, switch=word, text=f"{word} {after}".strip())


def fixes_for(flags: Sequence[str], environ: Mapping[str, str], arguments: str) -> list[str]:
    """What to do so that Apptainer no longer gets one of `flags`, for each place it comes from.

    A flag is its long name without `--`; `no-mount=proc` means a value that contains `proc`.
    """
    fixes = [f"unset {name}" for name, value in environ.items() if _sets(name, value, flags)]
    options = [option for option in options_in(arguments) if not option.is_off]
    given = [option.switch for option in options if option.name in flags]
    given += [option.text for option in options if _has_value(option.name, option.value, flags)]
    return fixes + [f"leave {text} out of --apptainer-args" for text in given]


def _sets(variable: str, value: str, flags: Sequence[str]) -> bool:
    """Whether a variable gives Apptainer one of `flags`."""
    prefix, _, rest = variable.partition("_")
    # APPTAINER_UNSHARE_PID is --pid, and APPTAINER_TARGET_CWD is --cwd.
    name = rest.lower().replace("_", "-").removeprefix("unshare-").removeprefix("target-")
    flag = OTHER_NAMES.get(name, name)
    if prefix not in NAMES or _is_off(flag, value):
        return False
    return flag in flags or _has_value(flag, value, flags)


def _is_off(flag: str, value: str) -> bool:
    return value.strip().lower() in OFF and flag not in NUMBERED


def _has_value(flag: str, value: str, flags: Sequence[str]) -> bool:
    """Whether a list of values contains one that is in `flags` as FLAG=VALUE."""
    return any(f"{flag}={item.strip()}" in flags for item in value.split(","))


@dataclass(frozen=True)
class Told:
    """What Apptainer gets in this invocation of the pipeline, in addition to image and command."""

    arguments: str = ""
    """The caller's, with ours."""
    bound: list[str] = field(default_factory=list)
    """Folders of Snakemake's own that it binds."""
    ours: list[str] = field(default_factory=list)
    """What lies outside the working copy and is bound for trainings."""
    mounted: list[str] = field(default_factory=list)
    """Where the machine itself has something mounted below the working copy, as seen inside."""

    def text(self) -> str:
        """As JSON, for a script's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Told:
        """From `text`; nothing if that is empty."""
        return cls(**json.loads(text or "{}"))
