"""How Apptainer is called for a training."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evenground.apptainer import Told, binds_in, fixes_for, mount_of, options_in, parts_of
from evenground.surroundings.mounts import is_below


@dataclass(frozen=True)
class Call:
    """How Apptainer is called here."""

    line: Callable[[Path, str], str]
    """The shell line, as of a training's job, that runs a command in an image file."""
    told: Told
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def who_says(self, *flags: str) -> str:
        """What to do about the one of `flags` that Apptainer was told; empty where it was told none."""
        return " and ".join(fixes_for(flags, self.of_others, self.told.arguments))

    @property
    def of_others(self) -> dict[str, str]:
        """The variables without what the pipeline itself has Apptainer mount."""
        ours = {mount_of(folder) for folder in self.told.ours}
        lines = self.environ.get("APPTAINER_MOUNT", "").split("\n")
        rest = [line for line in lines if line and line not in ours]
        others = {name: value for name, value in self.environ.items() if name != "APPTAINER_MOUNT"}
        return {**others, "APPTAINER_MOUNT": "\n".join(rest)} if rest else others

    def binds_at(self, path: str) -> list[str]:
        """What to do about each bind of a site's or the caller's that meets `path`, in words.

        Of a place behind a link, also one that meets where it really lies.
        """
        places = {path, os.path.realpath(path)}
        return self._binds(lambda bind: any(self._meets(bind, place) for place in places))

    def who_binds(self, source: str) -> list[str]:
        """What to do about each of a site's or the caller's that binds `source`, wherever to, in words."""
        of_flags = self.who_says("mount", "containlibs")
        return self._binds(lambda bind: parts_of(bind)[0] == source) or list(
            filter(None, [of_flags])
        )

    def _binds(self, is_meant: Callable[[str], bool]) -> list[str]:
        of_site = filter(is_meant, binds_in(self.environ.get("APPTAINER_BIND", "")))
        options = [option for option in options_in(self.told.arguments) if option.name == "bind"]
        of_caller = [option for option in options if any(map(is_meant, binds_in(option.value)))]
        return [
            *(f"take {bind} out of APPTAINER_BIND" for bind in of_site),
            *(f"leave {option.text} out of --apptainer-args" for option in of_caller),
        ]

    def _meets(self, bind: str, path: str) -> bool:
        """Whether `bind` has its target above `path` or below it; a folder that we bind, too, never does."""
        target = parts_of(bind)[1]
        return bind not in self.told.ours and (is_below(path, target) or is_below(target, path))
