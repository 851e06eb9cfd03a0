"""Files are replaced whole, and hashes cover names and contents."""

from pathlib import Path

import pytest

from evenground.errors import EvengroundError
from evenground.files import read_json, sha256_json, sha256_tree, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_broken_json_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(EvengroundError, match="not valid JSON") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_a_tree_changes_with_names_and_contents_but_not_with_caches(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = sha256_tree([tmp_path], tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert sha256_tree([tmp_path], tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    second = sha256_tree([tmp_path], tmp_path)
    (tmp_path / "b.py").write_text("2")
    assert len({first, second, sha256_tree([tmp_path], tmp_path)}) == 3


def test_key_order_does_not_matter() -> None:
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})
