"""Digests of source code: they change with what the code does, and with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evenground.digests import of_file, tree

ROOT = Path(__file__).resolve().parents[1]

PYTHON = '''
"""What it is for."""
from os import path as p  # a comment

@deco(a=1)
class A(B, metaclass=M):
    """Documented."""

    field: int = 1_000
    """Documented, too."""

    async def f(self, a, /, b: "int" = 2, *c, d=None, **e):
        """Documented."""
        global g
        x = [*c, {**e}, b"b", 1e3, 2j, ..., "\\N{DIGIT ONE}\\U0001fae8", None, True]
        return f"{x!r:>{b}} {{}} {a=} {d if d else 'n'}" "and" u"more" + x[1:2, ::-1]

    g = lambda self: (yield)

try:
    match A:
        case {"k": [1, *_], **rest} if (n := rest):
            assert not n, "text"
        case A(field=-1) | None:
            del p
except* (ValueError, KeyError) as error:
    raise error from None
'''
PYTHON_DIGEST = "e715849e692b3de24e4e6d8e028666eeb2f6b3379c8cd408c87492668a7174d3"
EDITED = (
    PYTHON.replace("What it is for", "Why")
    .replace("  # a comment", "\n\n# Other words\n")
    .replace('    """Documented."""\n\n    field', "    field")
    .replace("Documented", "Told")
    .replace("(a=1)", "(\n    a=1,\n)")
    .replace('"text"', "('text')")
)
ELIXIR = r'''
defmodule Made do
  @moduledoc """
  Text with "quotes", a # and #{1 + 1}.
  """
  @doc ~S(One " line)
  def a?(x), do: x == ?" || x == ?# || x == ?\\ # what's this
  @typedoc "A type"
  @type t :: %{}
  def b(x), do: "#{"#{x} # text"} } { " <> ~s{#{%{a: "}"}} # text}
  def c do
    # a comment
    """
    # text
      indented \
    """
  end

  def d, do: ~S"""
  # text, not code: #{
  """
  def e, do: ~w[a # b] ++ ~r/#[a-z]"{2}/i
end
'''
WITHOUT = r'''
defmodule Made do
def a?(x), do: x == ?" || x == ?# || x == ?\\
@type t :: %{}
def b(x), do: "#{"#{x} # text"} } { " <> ~s{#{%{a: "}"}} # text}
def c do
"""
    # text
      indented \
    """
end
def d, do: ~S"""
  # text, not code: #{
  """
def e, do: ~w[a # b] ++ ~r/#[a-z]"{2}/i
end
'''


def digest(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return of_file(folder / name)


def test_a_tree_changes_with_names_and_contents_but_not_with_caches(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = tree([tmp_path], tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert tree([tmp_path], tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    second = tree([tmp_path], tmp_path)
    (tmp_path / "b.py").write_text("2")
    assert len({first, second, tree([tmp_path], tmp_path)}) == 3


def test_words_and_line_breaks_of_python_are_not_in_its_digest(tmp_path: Path) -> None:
    assert EDITED.count("\n") != PYTHON.count("\n")
    assert digest(tmp_path, "a.py", EDITED) == digest(tmp_path, "a.py", PYTHON)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1_000", "1_001"),
        ("1_000", '"1000"'),
        ('"text"', '"other"'),
        ("case A(field=-1)", "case A(field=1)"),
        ("!r", "!s"),
        ("b: ", "h: "),
        ("1:2", "1:3"),
        ("            del p", "            del p\n            del p"),
        ("except*", "except"),
    ],
)
def test_what_python_does_is_in_its_digest(tmp_path: Path, old: str, new: str) -> None:
    assert old in PYTHON
    changed = digest(tmp_path, "a.py", PYTHON.replace(old, new))
    assert changed != digest(tmp_path, "a.py", PYTHON)


@pytest.mark.parametrize("version", ["", "3.11", "3.12", "3.13", "3.14"])
def test_a_digest_is_the_same_under_every_python(tmp_path: Path, version: str) -> None:
    """Under the one that runs the tests, and under the others of this machine."""
    python = shutil.which(f"python{version}") if version else sys.executable
    digest(tmp_path, "a.py", PYTHON)
    code = (
        "import evenground.digests as d, pathlib, sys; print(d.of_file(pathlib.Path(sys.argv[1])))"
    )
    command = [python or "false", "-c", code, str(tmp_path / "a.py")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if version and done.returncode:
        pytest.skip(f"no Python {version} on this machine")
    assert done.stdout.strip() == PYTHON_DIGEST


def test_comments_and_documentation_of_elixir_are_not_in_its_digest(tmp_path: Path) -> None:
    assert digest(tmp_path, "a.ex", ELIXIR) == digest(tmp_path, "a.ex", WITHOUT)


@pytest.mark.parametrize("old", ["# text, not", "    # text\n", "# b]", " # text}", "|| x == ?#"])
def test_texts_of_elixir_are_in_its_digest(tmp_path: Path, old: str) -> None:
    assert old in ELIXIR
    changed = digest(tmp_path, "a.ex", ELIXIR.replace(old, old.replace("#", "%")))
    assert changed != digest(tmp_path, "a.ex", ELIXIR)


@pytest.mark.parametrize("name", ["a.sh", "broken.py", "broken.ex"])
def test_what_cannot_be_parsed_counts_byte_by_byte(tmp_path: Path, name: str) -> None:
    content = '( "' if "broken" in name else "run"
    assert digest(tmp_path, name, content) != digest(tmp_path, name, content + "  # words\n")
