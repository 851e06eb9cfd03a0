"""How Apptainer is launched for a training, and who gave it the settings that are in the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.containers.apptainer import (
    Told,
    binds_in,
    fixes_for,
    mount_of,
    options_in,
    parts_of,
)
from evenground.surroundings.mounts import is_below

MOUNT = "APPTAINER_MOUNT"


@dataclass(frozen=True)
class Launcher:
    """How Apptainer is launched for a training in this invocation."""

    line: Callable[[Path, str], str]
    """Returns the shell line of a training's job, which runs a command in an image file."""
    told: Told
    environ: Mapping[str, str]

    def fix(self, flags: Sequence[str], path: str = "") -> str:
        """Return how to undo those of `flags` that were set and the binds that meet `path`.

        The pipeline's own settings are left out. Empty if nothing of the kind was set.
        """
        fixes = fixes_for(flags, self.foreign_variables, self.told.arguments)
        if path:
            fixes += self._fixes_of_binds_at(path)
        return " and ".join(fixes)

    def fix_of_source(self, source: str) -> str:
        """Return how to undo each bind of `source` to any place; empty if there is none."""
        binds = self._fixes_of_binds(lambda bind: parts_of(bind)[0] == source)
        # Mounts are not taken apart like binds.
        return " and ".join(binds) or self.fix(["mount"])

    @property
    def foreign_variables(self) -> dict[str, str]:
        """The environment without the mounts that the pipeline itself asks for."""
        # One mount a line, as `apptainer.tell` writes them.
        ours = {mount_of(folder) for folder in self.told.ours}
        mounts = self.environ.get(MOUNT, "").split("\n")
        foreign = "\n".join(mount for mount in mounts if mount not in ours)
        return {**self.environ, MOUNT: foreign}

    def _fixes_of_binds_at(self, path: str) -> list[str]:
        # A bind can also meet the place where a path with links really lies.
        places = {path, os.path.realpath(path)}

        def meets(bind: str) -> bool:
            if bind in self.told.ours:
                return False
            target = parts_of(bind)[1]
            return any(is_below(place, target) or is_below(target, place) for place in places)

        return self._fixes_of_binds(meets)

    def _fixes_of_binds(self, is_meant: Callable[[str], bool]) -> list[str]:
        fixes = []
        for bind in binds_in(self.environ.get("APPTAINER_BIND", "")):
            if is_meant(bind):
                fixes.append(f"take {bind} out of APPTAINER_BIND")
        for option in options_in(self.told.arguments):
            if option.name == "bind" and any(map(is_meant, binds_in(option.value))):
                fixes.append(f"leave {option.text} out of --apptainer-args")
        return fixes
