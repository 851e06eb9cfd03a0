"""DVC with each type of link to its cache, and results that go missing: stored whole, with their claims."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from dvc_workspace import OUT, Workspace, new_workspace

OLD, NEW = "34.21 %", "34 %"
KINDS = ["symlink", "reflink,copy"]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Trained once and committed."""
    space = new_workspace(tmp_path_factory.mktemp("links"))
    space.copy.settings["warm_up_examples"] = 0
    assert space.repro() == 2
    space.commit()
    return space


def stored(space: Workspace) -> dict[str, str]:
    """Path -> md5 of every file that `dvc.lock` names."""
    found: dict[str, str] = {}
    for stage in yaml.safe_load((space.root / "dvc.lock").read_text())["stages"].values():
        for out in stage.get("outs", []):
            if not out["md5"].endswith(".dir"):
                found[out["path"]] = out["md5"]
                continue
            listed = json.loads(cached(space, out["md5"]).read_text())
            found |= {f"{out['path']}/{file['relpath']}": file["md5"] for file in listed}
    return found


def cached(space: Workspace, md5: str) -> Path:
    """A file of DVC's cache."""
    return space.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def assert_stored_whole(space: Workspace) -> None:
    """What `dvc.lock` names is what lies there, and no file of the cache was ever written to."""
    of_now = {name: hashlib.md5(content).hexdigest() for name, content in space.tracked().items()}
    named = stored(space)
    assert {name: named.get(name) for name in of_now} == of_now
    for md5 in named.values():
        assert hashlib.md5(cached(space, md5).read_bytes()).hexdigest() == md5
    figures = json.loads((space.root / OUT / "figures/figures.json").read_text())
    assert all(f"{OUT}/figures/{figure['name']}.svg" in named for figure in figures)
    verdicts = json.loads(cached(space, named[f"{OUT}/verdicts.json"]).read_text())
    claims = (space.root / "claims.yaml").read_bytes()
    assert verdicts["sources"]["claims.yaml"] == hashlib.sha256(claims).hexdigest()


def use(space: Workspace, kind: str) -> None:
    """Let DVC link results to its cache in this way."""
    space.dvc("config", "--local", "cache.type", kind)
    space.dvc("checkout", "--relink")
    table = space.root / OUT / "tables/runs.csv"
    how = "symlink" if table.is_symlink() else "hardlink" if table.stat().st_nlink > 1 else "copy"
    assert how in kind, "or the reflink that this file system does not have"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_twice_edited_and_the_commit_before(space: Workspace, kind: str) -> None:
    """Nothing is ever trained, and the verdicts are those of the claims."""
    before, claims = space.tracked(), space.root / "claims.yaml"
    use(space, kind)
    assert "Nothing to be done" in space.repro_says() and space.copy.trainings() == 0
    assert space.tracked() == before
    assert_stored_whole(space)

    claims.write_text(claims.read_text().replace(OLD, NEW))
    assert space.repro() == 0
    assert_stored_whole(space)
    changed = {name for name, content in space.tracked().items() if content != before[name]}
    assert changed == {f"{OUT}/verdicts.json", f"{OUT}/report.html"}

    space.run("git", "checkout", "claims.yaml", "dvc.lock")
    space.dvc("checkout")
    assert space.tracked() == before
    assert space.repro() == 0
    assert_stored_whole(space)
    assert space.tracked() == before
    assert space.run("git", "status", "--short") == ""


@pytest.mark.slow
def test_claims_in_whose_place_an_older_file_is_put(space: Workspace) -> None:
    """Also where the verdicts of another commit were laid out over ours, newer than the claims."""
    claims, before = space.root / "claims.yaml", space.tracked()
    claims.write_text(claims.read_text().replace(OLD, NEW))
    os.utime(claims, (1, 1))
    assert space.repro() == 0
    assert_stored_whole(space)
    space.run("git", "checkout", "dvc.lock")
    space.dvc("checkout")
    assert space.tracked() == before, "of the commit before"
    assert space.repro() == 0
    assert_stored_whole(space)
    space.run("git", "checkout", "claims.yaml", "dvc.lock")
    space.dvc("checkout")
    assert space.tracked() == before


@pytest.mark.slow
def test_deleted_results_are_stored_whole(space: Workspace) -> None:
    """Some files of a folder, a folder, and files beside them."""
    before = space.tracked()
    use(space, "symlink")
    names = ["tables/ratios.csv", "figures", "verdicts.json", "report.html", "index.json"]
    for path in (space.root / OUT / name for name in names):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "deleted" in space.dvc("status")
    assert space.repro() == 0 and space.tracked() == before
    assert_stored_whole(space)


@pytest.mark.slow
def test_what_is_stored_incomplete_by_force_is_mended_by_the_next_invocation(
    space: Workspace,
) -> None:
    before = space.tracked()
    (space.root / OUT / "tables/ratios.csv").unlink()
    space.dvc("commit", ok=False)
    space.dvc("commit", "--force", "report")
    assert f"{OUT}/tables/ratios.csv" not in stored(space)
    assert space.repro() == 0 and space.tracked() == before
    assert_stored_whole(space)


@pytest.mark.slow
def test_a_run_without_a_file_is_stored_by_no_stage(space: Workspace) -> None:
    run = (
        space.root
        / json.loads((space.root / OUT / "index.json").read_text())["conditions"][0]["runs"][0][
            "path"
        ]
    )
    lock = (space.root / "dvc.lock").read_bytes()
    (run / "samples.csv").unlink()
    said = space.repro_says(ok=False)
    assert "no samples.csv" in said and "dvc checkout results/runs" in said
    assert (space.root / "dvc.lock").read_bytes() == lock and space.copy.trainings() == 0
    space.dvc("checkout", "results/runs")
    assert space.repro() == 0
    assert_stored_whole(space)


@pytest.mark.slow
def test_links_into_a_cache_that_is_gone_are_missed(space: Workspace) -> None:
    use(space, "symlink")
    before, cache = space.tracked(), space.root / ".dvc/cache"
    cache.rename(cache.with_name("elsewhere"))
    said = space.run("snakemake", "--cores", "1", ok=False)
    assert "is a link that leads nowhere" in said and "mount its disk, or dvc checkout" in said
    assert space.copy.trainings() == 0
    cache.with_name("elsewhere").rename(cache)
    assert space.repro() == 0 and space.tracked() == before


@pytest.mark.slow
def test_folders_on_another_disk_and_a_cache_outside(space: Workspace, tmp_path: Path) -> None:
    """Folders of the results are links, and their files links into a cache of several working copies."""
    before = space.tracked()
    shutil.move(space.root / ".dvc/cache", tmp_path / "shared_cache")
    space.dvc("cache", "dir", "--local", str(tmp_path / "shared_cache"))
    use(space, "symlink")
    for name in ("runs", "native/tables"):
        shutil.move(space.root / "results" / name, tmp_path / name)
        (space.root / "results" / name).symlink_to(tmp_path / name)
    assert (space.repro(), space.tracked() == before) == (0, True)
    assert (space.root / "results/runs").is_symlink()

    shutil.move(space.root / "results", tmp_path / "bigresults")
    (space.root / "results").symlink_to(tmp_path / "bigresults")
    assert "DVC stores nothing behind a link" in space.repro_says(ok=False)
    space.run("snakemake", "--cores", "1")
    assert space.copy.trainings() == 0 and space.tracked() == before
    space.run("python", "scripts/bundle.py", str(tmp_path / "runs.zip"))
