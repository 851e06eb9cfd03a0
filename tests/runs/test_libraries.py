"""Of the caller's LD_LIBRARY_PATH only that is kept without which Python or the driver is not found."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from evenground.runs.surroundings import driver_folders
from evenground.runs.variables import DRIVER, _is_found, of_a_step


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    """What one test found is not another's."""
    _is_found.cache_clear()
    yield
    _is_found.cache_clear()


def kept(*folders: Path) -> str | None:
    """What is left of the variable."""
    given = {"LD_LIBRARY_PATH": ":".join(map(str, folders))}
    found = of_a_step([], False, given)
    assert of_a_step([], False, found) == found
    return found.get("LD_LIBRARY_PATH")


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_ENABLE_SHARED"), reason="this Python has no library"
)
def test_a_python_that_finds_its_own_library_is_given_no_folder_of_a_sites(tmp_path: Path) -> None:
    library = Path(sys.base_prefix, "lib", sysconfig.get_config_var("INSTSONAME"))
    shutil.copy(library, tmp_path)
    assert kept(tmp_path) is None


@pytest.mark.parametrize("library", DRIVER)
def test_a_driver_that_nothing_else_finds_is_still_found(
    tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenground.runs.variables._is_found", lambda name: name != library)
    for name in ("site", "driver", "again"):
        (tmp_path / name).mkdir()
    for name in ("driver", "again"):
        (tmp_path / name / library).touch()
    folders = [tmp_path / name for name in ("site", "driver", "again")]
    assert kept(*folders) == str(tmp_path / "driver")
    assert driver_folders({"LD_LIBRARY_PATH": f"{tmp_path}/driver:/site"}) == {
        str(tmp_path / "driver"): "driver"
    }
    monkeypatch.setattr("evenground.runs.variables._is_found", lambda name: True)
    assert kept(*folders) is None


def test_a_python_that_would_take_anothers_library_still_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sysconfig, "get_config_var", {"INSTSONAME": "libc.so.6", "Py_ENABLE_SHARED": 1}.get
    )
    (tmp_path / "libc.so.6").touch()
    assert kept(tmp_path) is None
    monkeypatch.setattr(sys, "version", "3.11.0 (a build of a site's)")
    _is_found.cache_clear()
    assert kept(tmp_path) == str(tmp_path)


def test_a_library_of_the_systems_is_found_and_another_one_not() -> None:
    assert _is_found("libc.so.6") and not _is_found("libnobody-has-this.so.1")
