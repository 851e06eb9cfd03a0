"""Which source made a run: the commit of this working copy, or none with the reason; never another tree's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from evenground.records.environment import Git
from evenground.runs.record import source_state

NOT_OWN = {"commit": None, "dirty": None, "reason": "not a git repository of its own"}
WHO = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always")


def git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *WHO, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(root: Path) -> str:
    """A repository with one file in `root`; its commit."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet")
    (root / "Snakefile").write_text(f"# {root.name}\n")
    git(root, "add", "Snakefile")
    git(root, "commit", "--quiet", "--message", "one")
    return git(root, "rev-parse", "HEAD")


def unpacked(root: Path) -> Path:
    """A tree without a history, as from an archive."""
    root.mkdir(parents=True)
    (root / "Snakefile").write_text("# one\n")
    return root


def test_its_own_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    commit = repository(tmp_path)
    assert source_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "notes").touch()
    assert source_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "Snakefile").write_text("# two\n")
    assert source_state(tmp_path) == {"commit": commit, "dirty": True}
    link = tmp_path.with_name(f"{tmp_path.name} link ")
    link.symlink_to(tmp_path)
    assert source_state(link) == {"commit": commit, "dirty": True}


def test_a_worktree_and_a_submodule_have_their_own(tmp_path: Path) -> None:
    commit = repository(tmp_path / "one")
    git(tmp_path / "one", "worktree", "add", "--quiet", str(tmp_path / "tree"))
    assert source_state(tmp_path / "tree")["commit"] == commit
    other = repository(tmp_path / "outer")
    git(tmp_path / "outer", "submodule", "--quiet", "add", str(tmp_path / "one"), "inner")
    git(tmp_path / "outer", "commit", "--quiet", "--allow-empty", "--message", "two")
    assert source_state(tmp_path / "outer/inner")["commit"] == commit != other


@pytest.mark.parametrize("how", ["beside", "ignored", "tracked", "broken .git", "empty .git"])
def test_a_tree_inside_of_another_repository_has_none(tmp_path: Path, how: str) -> None:
    repository(tmp_path)
    copy = unpacked(tmp_path / "copy")
    if how == "ignored":
        (tmp_path / ".gitignore").write_text("copy/\n")
    if how == "tracked":
        git(tmp_path, "add", "copy")
        git(tmp_path, "commit", "--quiet", "--message", "with a copy")
    if how == "broken .git":
        (copy / ".git").mkdir()
        (copy / ".git/HEAD").write_text("ref: refs/heads/main\n")
    if how == "empty .git":
        (copy / ".git").mkdir()
    assert source_state(copy) == NOT_OWN


def test_no_repository_at_all_and_one_without_a_commit(tmp_path: Path) -> None:
    copy = unpacked(tmp_path / "copy")
    assert source_state(copy) == NOT_OWN
    git(copy, "init", "--quiet")
    assert source_state(copy) == {
        "commit": None,
        "dirty": None,
        "reason": "git names no commit of it",
    }


def test_variables_that_name_another_repository_are_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, copy = repository(tmp_path / "own"), unpacked(tmp_path / "copy")
    other = repository(tmp_path / "other")
    git(tmp_path / "other", "commit", "--quiet", "--allow-empty", "--message", "another")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "copy"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    assert source_state(tmp_path / "own") == {"commit": commit, "dirty": False} and other
    assert source_state(copy) == NOT_OWN


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_state(tmp_path) == {
        "commit": None,
        "dirty": None,
        "reason": "git cannot be started",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_repository_of_another_user_is_refused_by_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 65534, 65534)
    state = source_state(tmp_path)
    assert state["commit"] is None and state["dirty"] is None
    assert "safe.directory" in state["reason"] and str(tmp_path) not in state["reason"]


def test_the_reason_is_shown_in_the_commits_place() -> None:
    assert Git(commit="c" * 40, dirty=True).label == "c" * 12 + " with changes"
    assert Git().label == "unknown"
    assert Git(reason="git cannot be started").label == "unknown (git cannot be started)"
