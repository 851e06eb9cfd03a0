"""Which indexes of runs the refs of a git repository name, each by its tip. Only git is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from evenground.errors import EvengroundError
from evenground.runs.git import git
from evenground.runs.plan import RESULTS

INDEXES = tuple((RESULTS / name / "index.json").as_posix() for name in ("native", "apptainer"))
LOCK = "dvc.lock"
# Branches, tags, what remotes had at the last fetch, DVC's experiments without its own marks, stashes.
KINDS = ("refs/heads", "refs/tags", "refs/remotes", "refs/exps/??/**", "refs/stash")
_FORM = "%(refname)%09%(refname:short)%09%(objectname)%09%(objecttype) %(*objecttype)%09%(symref)"


@dataclass(frozen=True)
class Indexes:
    """The indexes that refs name, each with the refs that do."""

    in_dvc: dict[str, list[str]]
    """The md5 under which DVC keeps an index -> refs."""
    in_git: dict[str, list[str]]
    """The text of an index that git itself tracks -> refs."""


def indexes(root: Path, skip: Collection[str] = ()) -> Indexes:
    """What every ref but those of `skip` names; EvengroundError where git cannot say it."""
    found = Indexes(defaultdict(list), defaultdict(list))
    for (path, blob), refs in _files(root, _tips(root, skip)).items():
        text = _git(root, "cat-file", "blob", blob)
        if path in INDEXES:
            found.in_git[text] += refs
        else:
            for md5 in _locked(text, refs):
                found.in_dvc[md5] += refs
    return found


def left_out(refs: Collection[str]) -> str:
    """The options that leave `refs` out of account."""
    return " ".join(f"--skip '{ref}'" for ref in refs)


def _tips(root: Path, skip: Collection[str]) -> dict[str, str]:
    """Name of each ref as `--skip` takes it -> its object."""
    # An unpacked archive inside of another repository would else have no run that is named.
    _git(root, "ls-files", "--error-unmatch", "dvc.yaml")
    tips = dict(_all_tips(root))
    if unknown := sorted(set(skip) - tips.keys()):
        raise EvengroundError(
            f"there is no branch, tag, experiment or stash '{unknown[0]}'",
            "--skip",
            "name one of: " + ", ".join(sorted(tips)),
        )
    return {name: target for name, target in tips.items() if name not in skip}


def _all_tips(root: Path) -> Iterator[tuple[str, str]]:
    for line in _git(root, "for-each-ref", f"--format={_FORM}", *KINDS).splitlines():
        full, short, target, kind, alias = line.split("\t")
        if full == "refs/stash":
            stashes = _git(root, "log", "--walk-reflogs", "--format=%H", full).split()
            yield from ((f"stash@{{{number}}}", stash) for number, stash in enumerate(stashes))
        elif not alias and not kind.endswith("blob"):
            yield short, target
    if _detached(root):
        yield "HEAD", "HEAD"


def _detached(root: Path) -> bool:
    """Whether the working copy stands on a commit that no branch need lead to."""
    return _git(root, "rev-parse", "--symbolic-full-name", "--revs-only", "HEAD").strip() == "HEAD"


def _files(root: Path, tips: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    """Path and blob of each lock and each index that git tracks -> the refs it stands at."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, target in tips.items():
        for entry in _git(root, "ls-tree", "-z", target, LOCK, *INDEXES).split("\0")[:-1]:
            about, path = entry.split("\t", 1)
            found[path, about.split()[2]].append(name)
    return found


def _locked(text: str, refs: list[str]) -> list[str]:
    """The md5 of every index that a dvc.lock names."""
    try:
        stages = (yaml.safe_load(text) or {}).get("stages", {}).values()
        outs = [out for stage in stages for out in stage.get("outs", [])]
        return [out["md5"] for out in outs if out["path"] in INDEXES]
    except (yaml.YAMLError, KeyError, AttributeError, TypeError):
        raise EvengroundError(
            "a dvc.lock cannot be read", ", ".join(refs), f"mend it there, or leave it out: {left_out(refs)}"
        ) from None


def _git(root: Path, *arguments: str) -> str:
    try:
        done = git(root, *arguments)
    except OSError as error:
        said, code = str(error.strerror), 1
    else:
        said, code = done.stderr.strip(), done.returncode
    if code:
        raise EvengroundError(
            f"git cannot say which runs are named: {said.splitlines()[0] if said else arguments[0]}",
            str(root),
            "nothing is removed outside of a git repository that holds this working copy",
        )
    return done.stdout
