"""The layering, held by a test: who may import whom, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evenground.workflow.sources import ANALYSIS

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "src" / "evenground"
ENGINES = {"tensorflow", "keras", "jax", "jaxlib", "torch", "optax"}
SHARED = {"commands", "digests", "errors", "files", "judged", "locks", "logs", "validation"}
# room -> rooms of the core it may import, beside itself and the shared modules
ROOMS = {
    "sidecar": None,  # stands alone: not even the shared modules
    # What the sampler writes, it describes itself.
    "records": {"sidecar"},
    "surroundings": {"records", "sidecar"},
    "cpus": {"records", "sidecar", "surroundings"},
    "gpus": {"records", "sidecar"},
    "addresses": set(),
    "networks": set(),
    "invocation": {"records"},
    "environments": set(),
    "config": {"addresses", "records"},
    "datasets": {"addresses", "networks", "records"},
    "containers": {"environments", "records", "surroundings"},
    "engines": {"config", "records"},
    "runs": {
        *("addresses", "config", "containers", "cpus", "datasets", "engines", "environments"),
        *("gpus", "invocation", "records", "sidecar", "surroundings"),
    },
    "analysis": {"cpus", "gpus", "records", "surroundings"},
    "claims": {"analysis", "records"},
    "report": {"analysis", "records"},
    "made": set(),
    "protocol": {"records"},
    "preflight": {
        *("addresses", "containers", "cpus", "datasets", "engines", "environments", "gpus"),
        *("records", "runs", "surroundings"),
        # How many repetitions a claim takes, by how much recorded training times differ.
        *("analysis", "claims", "config"),
    },
    "explain": {"analysis", "records", "runs", "sidecar"},
    "bundle": {"analysis", "claims", "config", "datasets", "records", "report", "runs"},
    "documentation": {"analysis", "claims", "config", "explain", "records"},
    "workflow": {
        *("config", "containers", "engines", "environments", "explain", "invocation", "made"),
        *("preflight", "records", "runs", "surroundings"),
    },
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def modules() -> list[Path]:
    return sorted(CORE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_imports_neither_snakemake_nor_an_engine(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & (ENGINES | {"snakemake", "dvc"})


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_a_room_imports_only_rooms_before_it(path: Path) -> None:
    if room(path) in SHARED | {"__init__"}:
        allowed: set[str] = set(SHARED)
    else:
        before = ROOMS[room(path)]
        allowed = {room(path)} if before is None else before | SHARED | {room(path)}
    used = {name.split(".")[1] for name in imports(path) if name.startswith("evenground.")}
    assert used <= allowed, f"{room(path)} may import {sorted(allowed)}"


def drawn() -> dict[str, tuple[int, str]]:
    """Room -> its line in the drawing of docs/architecture.md, and its column: made, read or both."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawing = text.partition("┌─ the ground")[2].partition("└─")[0]
    rooms: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(drawing.splitlines()):
        cells = line.split("│")[1:-1]
        columns = ["both"] if len(cells) == 1 else ["made", "read"]
        for column, cell in zip(columns, cells, strict=False):
            assert not rooms.keys() & set(cell.split()), "a room stands twice"
            rooms |= dict.fromkeys(cell.split(), (number, column))
    return rooms


def test_the_drawing_has_every_room_and_every_import_goes_up() -> None:
    places = drawn()
    assert places.keys() == ROOMS.keys() | SHARED
    for name, before in ROOMS.items():
        line, column = places[name]
        for other in before or ():
            assert places[other][0] < line, f"{name} imports {other}, which is not above it"
            beside = {places[other][1], column} == {"made", "read"}
            assert not beside, f"{name} imports {other} of the other column"


def test_the_sidecar_needs_only_two_packages() -> None:
    used = {
        name.split(".")[0] for path in (CORE / "sidecar").rglob("*.py") for name in imports(path)
    }
    assert used - sys.stdlib_module_names <= {"evenground", "psutil", "pynvml"}


def own(name: str) -> Path | None:
    """The file of one of our modules."""
    for folder in ("src", "scripts"):
        path = ROOT / folder / f"{name.replace('.', '/')}.py"
        if path.is_file():
            return path
    return None


def packages_of(script: str) -> set[str]:
    """What a script imports beside the standard library, also through our modules."""
    left, seen, names = [ROOT / "scripts" / script], set(), set()
    while left:
        path = left.pop()
        if path not in seen:
            seen.add(path)
            new = imports(path)
            names |= {name.split(".")[0] for name in new if own(name.split(".")[0]) is None}
            left += [file for name in new if (file := own(name))]
    return names - sys.stdlib_module_names - {"evenground"}


@pytest.mark.parametrize("script", ["environment.py", "start.py", "relock.py"])
def test_environments_are_built_with_the_standard_library_alone(script: str) -> None:
    assert packages_of(script) == set()


# Package -> the distribution that brings it, where that has another name.
DISTRIBUTIONS = {"yaml": "pyyaml", "pydantic_core": "pydantic"}


@pytest.mark.parametrize("script", ["adopt.py", "convert.py", "replay.py"])
def test_reading_a_bundle_needs_only_the_environment_of_the_analysis(script: str) -> None:
    lines = (ROOT / "envs/analysis.in").read_text().splitlines()
    locked = {line.partition("#")[0].strip() for line in lines if not line.startswith("-")}
    used = {DISTRIBUTIONS.get(name, name) for name in packages_of(script)}
    assert used <= locked, script
    assert script == "adopt.py" or used == locked - {""}


# Calls that remove, move or replace a file; `x.replace` of a path has one argument, of a text two.
REMOVING = {
    "unlink",
    "rmtree",
    "rmdir",
    "remove",
    "rename",
    "move",
    "empty_folder",
    "drop_lost_links",
}
REMOVING |= {"free", "forget_broken", "begin_again", "write_text", "write_json", "replacing"}


def removals(path: Path) -> list[str]:
    """The calls of a module by which files are lost, as they are written."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            replaces = isinstance(node.func, ast.Attribute) and name == "replace"
            if name in REMOVING or (replaces and len(node.args) == 1):
                found.append(ast.unparse(node))
    return found


def test_preflight_removes_nothing_but_what_its_probe_left() -> None:
    found = [call for path in sorted((CORE / "preflight").glob("*.py")) for call in removals(path)]
    assert found == ["left(folder, token).unlink(missing_ok=True)"]
    assert "path.rename(to)" in removals(CORE / "files.py"), "the check finds what there is"


def test_matplotlib_is_only_in_the_report() -> None:
    users = {
        room(path)
        for path in modules()
        if any(name.startswith("matplotlib") for name in imports(path))
    }
    assert users <= {"report"}


def test_the_snakefile_is_a_table_of_contents() -> None:
    lines = (ROOT / "Snakefile").read_text().splitlines()
    assert len(lines) <= 75
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        text = path.read_text()
        assert not re.search(r"^\s+(run|script|notebook):", text, re.M), (
            f"{path.name}: rules call scripts by shell:"
        )
        assert not re.search(r"^\s*def ", text, re.M), f"{path.name}: the core has functions"
        for rule in re.findall(r"^rule (\w+):(.*?)(?=^\S|\Z)", text, re.M | re.S):
            assert "shell:" not in rule[1] or "log:" in rule[1], (
                f"{path.name}: rule {rule[0]} has no log"
            )


def test_a_change_of_what_judges_runs_makes_their_tables_anew() -> None:
    """The steps, and DVC's stage, are made of the analysis and of every room it takes a part from."""
    needed = {"analysis", "judged"} | (ROOMS["analysis"] or set())
    assert set(ANALYSIS) == needed
    deps = re.findall(r"^ +- src/evenground/(\w+)", (ROOT / "dvc.yaml").read_text(), re.M)
    assert needed <= set(deps)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_machines_path_or_a_registrys_host() -> None:
    forbidden = re.compile(
        r"(?<![\w.])/(?:work|farm|root)/\w|pypi\.org|pythonhosted|npmjs\.org|deb\.debian\.org"
    )
    this = Path(__file__).resolve()
    wrong = []
    for path in tracked():
        if path != this and path.is_file() and path.suffix not in {".png", ".npy", ".gz"}:
            text = path.read_text(encoding="utf-8", errors="replace")
            wrong += [
                f"{path.relative_to(ROOT)}: {match.group()}" for match in forbidden.finditer(text)
            ]
    assert not wrong


def test_locks_have_hashes_and_no_addresses() -> None:
    locks = sorted((ROOT / "envs").glob("*.txt"))
    assert {lock.stem for lock in locks} == {source.stem for source in (ROOT / "envs").glob("*.in")}
    for lock in locks:
        text = lock.read_text()
        pins = re.findall(r"^[A-Za-z0-9][^\n]*==", text, re.M)
        # The Elixir engine needs no Python package natively; its own are pinned in its mix.exs.
        assert (pins or lock.stem == "axon") and "://" not in text
        assert len(re.findall(r"==[^\n]*\\\n\s+--hash=sha256:", text)) == len(pins), (
            f"{lock.name}: a pin has no hash"
        )


# Words of a program that is called, and a download that is fetched again.
NO_ADVICE = {"delete", "delete that file and fetch again, or correct the registry entry"}


def sentences(path: Path) -> list[str]:
    """Every text of a module that is no documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, documented)]
    alone = {id(part.value) for body in bodies for part in body if isinstance(part, ast.Expr)}
    texts = [
        node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone
    ]
    return [node.value for node in texts if isinstance(node.value, str)]


@pytest.mark.parametrize(
    "path", [*modules(), *sorted((ROOT / "scripts").rglob("*.py"))], ids=lambda p: p.name
)
def test_no_message_advises_to_delete_anything(path: Path) -> None:
    """What is in the way is set aside or moved away: a run takes hours, and may be a good one."""
    advice = re.compile(r"\b(delete|rm -rf?|erase) ?\b")
    assert not [text for text in sentences(path) if advice.search(text) and text not in NO_ADVICE]
