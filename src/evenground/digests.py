"""Digests of source code: of what it does, not of its comments, docstrings and line breaks.

They are the same under every Python from 3.11 on: keys of recorded runs are made of them.
"""

from __future__ import annotations

import ast
import re
import string
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from evenground.errors import EvengroundError
from evenground.files import sha256_bytes, sha256_json

_LEFT_OUT = {"__pycache__", ".pytest_cache", ".mypy_cache", "_build", "deps"}
# Fields of the syntax tree that follow from others.
_IMPLIED = {"ctx"}
# A part of Elixir code. `name?` is a name, `?"` a character, `~r/` begins a text.
_PART = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<code>(?:[^\#?~\"'{}]+|(?<=\w)\?)+|\?\\?.)"
    r"|(?P<text>(?:~[a-zA-Z]+)?(?:\"\"\"|'''|[\"'])|~[a-zA-Z]+[(\[{<|/])"
    r"|(?P<other>.)",
    re.DOTALL,
)
_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}
_BEFORE_DOC = re.compile(r"@(?:module|type)?doc\s*\Z")


def tree(paths: Iterable[Path], root: Path) -> str:
    """Hexadecimal sha256 over names and code of files, without caches; raises as `named`."""
    return sha256_json(named(paths, root))


def named(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Name of each file of files and folders -> digest of its code, without caches.

    A name is the same on every machine: the path below `root`, or else below what contains the path
    that was named. Raises EvengroundError if two files have one name, or a path is missing.
    """
    files: dict[str, Path] = {}
    for path in paths:
        above = root if path.is_relative_to(root) else path.parent
        for file in files_below(path):
            name = file.relative_to(above).as_posix()
            if files.setdefault(name, file) != file:
                fix = "give one of the two folders another name"
                raise EvengroundError(f"two sources are called {name}", str(file), fix)
    return {name: of_file(files[name]) for name in sorted(files)}


def files_below(path: Path) -> list[Path]:
    """The file, or every file below the folder without caches; raises EvengroundError if missing."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise EvengroundError(
            "a source that decides results is missing", str(path), "fix engine.yaml"
        )
    return [
        file
        for file in path.rglob("*")
        if file.is_file()
        and file.suffix != ".pyc"
        and not _LEFT_OUT.intersection(file.relative_to(path).parts)
    ]


def of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's code; of its bytes if it is no code, or cannot be parsed."""
    return _of(path.suffix, path.read_bytes())


# Engines share files; thousands of runs share an engine.
@lru_cache(maxsize=1000)
def _of(suffix: str, content: bytes) -> str:
    try:
        if suffix == ".py":
            content = of_python(content).encode()
        elif suffix in (".ex", ".exs"):
            content = of_elixir(content.decode()).encode()
    except (SyntaxError, ValueError, RecursionError):
        # The bytes then.
        pass
    return sha256_bytes(content)


def of_python(source: bytes) -> str:
    """The syntax tree of Python code as text, without docstrings.

    Raises SyntaxError, ValueError or RecursionError for what cannot be parsed.
    """
    with warnings.catch_warnings():
        # Whoever runs the code is warned then.
        warnings.simplefilter("ignore")
        return form(ast.parse(source))


def form(part: object) -> str:
    """A node of a syntax tree, a list of nodes, or a value, as text."""
    if isinstance(part, ast.JoinedStr):
        return f"JoinedStr({_pieces(part.values)})"
    if isinstance(part, ast.AST):
        fields = []
        for name in part._fields:
            value = getattr(part, name, None)
            # Newer versions of Python have more fields, empty in older code.
            if value is not None and value != [] and name not in _IMPLIED:
                fields.append(f"{name}={form(value)}")
        return f"{type(part).__name__}({' '.join(fields)})"
    if isinstance(part, list):
        return f"[{' '.join([form(item) for item in part if not _is_docstring(item)])}]"
    # Which characters `repr` escapes differs between versions.
    return ascii(part)


def _pieces(values: list[ast.expr]) -> str:
    """Text and values of an f-string: versions of Python divide the text differently."""
    text, pieces = "", []
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
        else:
            pieces += [ascii(text), form(value)]
            text = ""
    return " ".join([*pieces, ascii(text)])


def _is_docstring(part: object) -> bool:
    """Whether it is a statement that is a text and nothing else: it does nothing."""
    if not isinstance(part, ast.Expr) or not isinstance(part.value, ast.Constant):
        return False
    return isinstance(part.value.value, str)


class _Part(NamedTuple):
    kind: str | None
    text: str
    end: int


def of_elixir(source: str) -> str:
    """Elixir code without comments, documentation, indentation and blank lines.

    Raises ValueError if a text has no end.
    """
    kept, code = "", "\n"
    for part in _parts(source, 0):
        if part.kind == "text" and _BEFORE_DOC.search(code):
            code = _BEFORE_DOC.sub("", code)
        elif part.kind == "text":
            kept += _without_blanks(code) + part.text
            code = ""
        elif part.kind != "comment":
            code += part.text
    return kept + _without_blanks(code + "\n")


def _without_blanks(code: str) -> str:
    """Code without blank lines and indentation."""
    return re.sub(r"\s*\n\s*", "\n", code)


def _parts(source: str, at: int) -> Iterator[_Part]:
    """The parts of code from `at` on, up to the end or to a `}` that was not opened there."""
    depth = 0
    while found := _PART.match(source, at):
        start, at = at, found.end()
        if found.lastgroup == "text":
            at = _end_of_text(source, at, found.group())
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if depth < 0:
            return
        yield _Part(found.lastgroup, source[start:at], at)


def _end_of_text(source: str, at: int, opening: str) -> int:
    """Where a text ends that goes on at `at`; raises ValueError if it does not end."""
    quotes = opening.lstrip("~" + string.ascii_letters)
    closing = re.escape(_CLOSING.get(quotes, quotes))
    if len(quotes) == 3:
        closing = rf"\n[ \t]*{closing}"
    # A sigil in capitals holds no code.
    if not opening[1:2].isupper():
        closing += r"|\#{"
    stop = re.compile(rf"\\[^\n]|{closing}")
    while found := stop.search(source, at):
        at = found.end()
        if found.group() == "#{":
            at = _end_of_code(source, at)
        elif not found.group().startswith("\\"):
            return at
    raise ValueError("a text without its end")


def _end_of_code(source: str, at: int) -> int:
    """Behind the bracket that ends the code at `at` inside of a text."""
    for part in _parts(source, at):
        at = part.end
    return at + 1
