"""The pipeline where a site, a path or an environment is odd: it works, or says so in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.environments.build import MARKER
from fake_image import locked_engines
from logged import logged
from working_copy import WorkingCopy, fresh_copy

SET_FOR_PYTHON = {"PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2", "PYTHONPYCACHEPREFIX": "/proc/none"}


@pytest.mark.slow
def test_steps_find_their_neighbours_whatever_is_set_and_wherever_they_lie(tmp_path: Path) -> None:
    copy = fresh_copy(tmp_path / "we{i}rd 'one' \"two\" %s $x; ü")
    copy.settings |= {
        "engines": locked_engines(copy.root),
        "repetitions": 1,
        "mirrors": ["/no/{x}"],
    }
    (copy.root / "cache").rename(tmp_path / "cache %s")
    copy.variables = {**SET_FOR_PYTHON, "EVENGROUND_CACHE": str(tmp_path / "cache %s")}
    copy.call("--cores", "2", "runs")
    assert copy.trainings() == 2


def test_a_cache_with_braces_in_its_path_is_refused_in_one_line(copy: WorkingCopy) -> None:
    copy.variables = {"EVENGROUND_CACHE": str(copy.root / "we{i}rd")}
    done = copy.call("--cores", "1", "--dry-run", ok=False)
    said = (done.stdout + done.stderr).splitlines()
    (line,) = [line for line in said if line.startswith("error: ")]
    assert line.startswith("error: Snakemake takes what stands in braces for a wildcard (")
    assert line.endswith("we{i}rd): point EVENGROUND_CACHE to a folder without braces in its path")
    assert not any("Traceback" in line for line in said)


@pytest.mark.parametrize("broken", [True, False])
def test_a_broken_environment_of_an_engine_is_built_anew_before_it_trains(
    copy: WorkingCopy, broken: bool
) -> None:
    copy.settings["engines"] = locked_engines(copy.root)
    (folder,) = copy.root.glob("cache/envs/locked-*")
    if broken:
        (folder / "bin/python").unlink()
    done = copy.call("--cores", "1", "--dry-run", "runs")
    words = "warning: the environment 'locked' is broken: its Python cannot be started: No such file or directory"
    assert (words in logged(done.stderr)) is broken
    assert (
        "rule environment:" in done.stdout + done.stderr or "environment " in done.stdout
    ) is broken
    assert (folder / MARKER).exists() is not broken
