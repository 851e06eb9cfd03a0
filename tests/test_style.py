"""How the code is written, as far as a test can hold it (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    *sorted((ROOT / "src").rglob("*.py")),
    *sorted((ROOT / "scripts").rglob("*.py")),
    *sorted((ROOT / "rules").glob("*.smk")),
]
MODULES = [path for path in FILES if path.suffix == ".py"]
# How this code was once written and no technical writer writes.
RIDDLES = re.compile(
    r"where there is none|\btrains not\b|as an example|\b(is|are) (told|asked)\b|\btold of\b"
    r"|\bof what class\b|\blets no\b|for want of|beyond all"
)
OLD_NAMES = re.compile(r"\b_?(MOST|LEAST|FEWEST|FARTHEST|LONGEST|SHORTEST|OLDEST)_?[A-Z_]*\b")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("command", [("format", "--check"), ("check",)])
def test_ruff_has_nothing_to_say(command: tuple[str, ...]) -> None:
    args = [sys.executable, "-m", "ruff", *command, "--quiet", "--no-cache", str(ROOT)]
    result = subprocess.run(args, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_words_are_those_of_the_field(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    wrong = []
    for number, line in enumerate(lines, 1):
        if RIDDLES.search(line) or OLD_NAMES.search(line):
            wrong.append(f"{number}: {line.strip()}")
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_class_is_given_values_by_position_from_a_splatted_tuple(path: Path) -> None:
    """Two strings in such a tuple could change places, and no type checker would notice."""
    wrong = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and class_of(node) and splats(node):
            wrong.append(f"{node.lineno}: {ast.unparse(node)}")
    assert wrong == []


def class_of(call: ast.Call) -> str:
    """Name of the class that a call makes an object of, by its capital; empty for a function."""
    name = ""
    if isinstance(call.func, ast.Name):
        name = call.func.id
    # Path takes any number of parts, all of them alike.
    return name if name[:1].isupper() and name != "Path" else ""


def splats(call: ast.Call) -> bool:
    return any(isinstance(argument, ast.Starred) for argument in call.args)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_public_function_that_raises_says_so(path: Path) -> None:
    wrong = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
            "_"
        ):
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            docstring = ast.get_docstring(node) or ""
            if raises and not re.search(r"[Rr]ais|Error", docstring):
                wrong.append(f"{node.lineno}: {node.name}")
    assert wrong == []
