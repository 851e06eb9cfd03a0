"""What the tests of the datasets room share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.faulty_server import Site, running_site
from datasets.small_data import Scripts
from evenground.datasets import download


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither mirrors nor a proxy of the machine that runs the tests."""
    monkeypatch.delenv("EVENGROUND_MIRRORS", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads wait for no more than seconds."""
    monkeypatch.setattr(download, "TIMEOUT_S", 5.0)
    monkeypatch.setattr(download, "RETRIES", 2)
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)


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
