"""What the tests of the datasets room share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.faulty_server import Site, running_site
from datasets.small_data import Scripts


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither mirrors nor a proxy of the machine that runs the tests."""
    monkeypatch.delenv("EVENGROUND_MIRRORS", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server with faults on 127.0.0.1."""
    with running_site() as running:
        yield running


@pytest.fixture
def scripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Scripts:
    """Calls fetch.py and prepare.py with folders in `tmp_path`."""
    return Scripts(tmp_path, capsys, monkeypatch)
