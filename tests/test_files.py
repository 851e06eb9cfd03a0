"""Files are replaced whole, and hashes cover names and contents."""

import errno
from pathlib import Path

import pytest

from evenground.errors import EvengroundError, cli
from evenground.files import read_json, sha256_json, sha256_tree, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_a_full_disk_is_one_line_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    really_write = Path.write_text

    def full(self: Path, data: str, **named: str) -> int:
        really_write(self, data[:3], **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    for write in (lambda: write_json(path, {"a": 2}), lambda: path.with_name("b.csv").write_text("1,2,3")):
        with pytest.raises(SystemExit) as ended:
            cli(write)
        assert ended.value.code == 1
        assert capsys.readouterr().err.startswith("error: disk is full (") and read_json(path) == {"a": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.csv"]


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
