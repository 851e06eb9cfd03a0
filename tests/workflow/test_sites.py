"""Whatever a site, a module or a caller has set: an engine finds the same around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvc_workspace import new_workspace
from sites import ARGUMENTS, let_look, looked, read_looked, records, site
from working_copy import WorkingCopy


def seen_by_engines(copy: WorkingCopy, *arguments: str) -> list[object]:
    """All that they saw, and their records."""
    return [looked(copy, *arguments), records(copy)]


@pytest.mark.slow
def test_natively_an_engine_finds_nothing_of_a_site(
    copy: WorkingCopy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    variables = site(tmp_path_factory.mktemp("site"))
    bare = seen_by_engines(copy)
    copy.variables = {**variables, "PYTHONPATH": ""}
    assert seen_by_engines(copy) == bare
    (seen, *_), (record, *_) = bare  # type: ignore[misc]
    assert "site" not in str(seen).replace("site-packages", "")
    assert record["foreign"] == [] and record["mounts"] == [] and record["image"] is None
    assert record["mapped"]["system"] > 3
    called = Path(variables["TMPDIR"]).parent / "called"
    assert not called.exists() or "train.py" not in called.read_text()


@pytest.mark.slow
def test_under_dvc_an_engine_finds_nothing_of_a_site(tmp_path: Path) -> None:
    space = new_workspace(tmp_path)
    space.commit()
    let_look(space.copy)
    assert space.repro("train", seed=1) == 2
    bare = read_looked(space.copy)
    # DVC starts a stage by a shell, before anything of ours: the limits that this sets are the caller's own.
    space.variables = {**site(tmp_path / "site"), "PYTHONPATH": "", "BASH_ENV": ""}
    let_look(space.copy)
    assert space.repro("train", seed=2) == 2
    assert read_looked(space.copy) == bare


@pytest.mark.slow
@pytest.mark.container
def test_in_an_image_an_engine_finds_nothing_of_a_site_and_only_what_a_caller_binds(
    contained: WorkingCopy, tmp_path: Path
) -> None:
    given = dict(contained.variables)
    bare = seen_by_engines(contained, "--use-singularity")
    (seen, *_), (record, *_) = bare  # type: ignore[misc]
    assert record["image"] == "mounted" and seen["cwd"] == str(contained.root)
    variables = site(tmp_path / "site")
    contained.variables = {**variables, **given, "PYTHONPATH": ""}
    for arguments in ARGUMENTS:
        asked = arguments.format(site=tmp_path / "site")
        found = seen_by_engines(contained, "--use-singularity", f"--apptainer-args={asked}")
        assert without_binds(found) == without_binds(bare), arguments
    profile = ["--workflow-profile", str(tmp_path / "site/profile")]
    assert without_binds(
        seen_by_engines(contained, "--use-singularity", *profile)
    ) == without_binds(bare)


def without_binds(found: list[object]) -> list[object]:
    """What a site and a caller bind is there; a working copy below /tmp is seen with that, or by itself."""
    for one in found[0]:  # type: ignore[attr-defined]
        one["mounts"] = [
            place for place in one["mounts"] if "/site" not in place and place != one["cwd"]
        ]
    return found
