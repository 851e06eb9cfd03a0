"""Setting aside: moved whole, never over anything, and as good as before when it is moved back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evenground.errors import EvengroundError
from evenground.runs.aside import set_aside
from evenground.runs.links import refuse_lost_links
from working_copy import ROOT

RUN = "results/runs/here/tiny/keras/k/r1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run = tmp_path / "work" / RUN
    run.mkdir(parents=True)
    (run / "samples.csv").write_text("good")
    return tmp_path / "work"


def test_a_run_is_moved_and_may_come_back(root: Path) -> None:
    to = set_aside(root, root / RUN)
    assert to == Path("results/aside/runs/here/tiny/keras/k/r1")
    assert (root / to / "samples.csv").read_text() == "good" and not (root / RUN).exists()
    (root / to).rename(root / RUN)
    assert (root / RUN / "samples.csv").read_text() == "good"


def test_what_was_set_aside_before_stays(root: Path) -> None:
    for content in ("first", "second", "third"):
        (root / RUN).mkdir(exist_ok=True, parents=True)
        (root / RUN / "samples.csv").write_text(content)
        set_aside(root, root / RUN)
    above = root / "results/aside/runs/here/tiny/keras/k"
    contents = {path.name: (path / "samples.csv").read_text() for path in above.iterdir()}
    assert contents == {"r1": "first", "r1.2": "second", "r1.3": "third"}


def test_a_link_is_moved_and_what_it_leads_to_stays(root: Path) -> None:
    disk = root.parent / "disk"
    (root / RUN).rename(disk)
    (root / RUN).symlink_to("../../../../../../../disk")
    assert (root / RUN / "samples.csv").is_file()
    to = root / set_aside(root, root / RUN)
    assert to.is_symlink() and disk.is_dir() and not (root / RUN).is_symlink()
    refuse_lost_links(root)
    to.rename(root / RUN)
    assert (root / RUN / "samples.csv").read_text() == "good"


def test_a_link_that_leads_nowhere_or_to_itself_is_moved(root: Path) -> None:
    for name, to in (("lost", "nowhere"), ("loop", "loop")):
        (root / "results" / name).symlink_to(to)
        assert (root / set_aside(root, root / "results" / name)).is_symlink()


@pytest.mark.parametrize(
    "path", [".", "results", "..", "results/../..", "results/aside", "/etc/hostname"]
)
def test_only_parts_of_the_working_copy(root: Path, path: str) -> None:
    (root / "results/aside").mkdir()
    with pytest.raises(EvengroundError, match="cannot be set aside"):
        set_aside(root, root / path)


def test_what_is_not_there(root: Path) -> None:
    with pytest.raises(EvengroundError, match="nothing to set aside"):
        set_aside(root, root / "results/runs/none")


def test_through_a_link_of_another_name(root: Path) -> None:
    (root / "results").rename(root.parent / "big")
    (root / "results").symlink_to(root.parent / "big")
    to = set_aside(root, root / RUN)
    assert (root.parent / "big" / to.relative_to("results") / "samples.csv").is_file()


def test_the_command_takes_paths_of_where_it_is_called() -> None:
    command = [sys.executable, str(ROOT / "scripts/aside.py"), "results/runs/no-such-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(
        "error: there is nothing to set aside (results/"
    )
