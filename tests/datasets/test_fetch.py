"""Fetching from a server with faults: what arrives is verified, a failure is one line and loses nothing."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from datasets.faulty_server import Site
from datasets.small_data import REGISTRY, Scripts, archive_entry, described, raw_entry, typed
from evenground.datasets import download
from evenground.datasets.fetch import all_mirrors, fetch_dataset
from evenground.datasets.registry import load_registry
from evenground.errors import EvengroundError
from evenground.records.dataset import Fetched

BODY = np.random.default_rng(0).bytes(400_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
NAME = "a.tar.gz"


def get(raw: dict[str, Any], folder: Path, *mirrors: str) -> dict[str, Any]:
    """Fetch the entry `small` into `folder` and return its file's record."""
    fetched = fetch_dataset(typed(raw), folder, mirrors)
    assert Fetched.read(folder / "fetched.json") == fetched
    assert (folder / NAME).read_bytes() == BODY
    assert not list(folder.glob("*.part"))
    return fetched.files[NAME].model_dump()


def closed_address() -> str:
    """An address on this machine where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/{NAME}"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of every back-off; none is slept."""
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    return slept


def test_a_file_is_fetched_and_recorded(site: Site, tmp_path: Path) -> None:
    record = get(archive_entry(BODY, site.put("/f", BODY)), tmp_path / "new" / "folder")
    assert record == {"bytes": len(BODY), "sha256": SHA256, "source": "127.0.0.1"}
    assert str(tmp_path) not in (tmp_path / "new" / "folder" / "fetched.json").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("fault", ["no-length", "encoded"])
def test_odd_but_good_answers_are_taken_as_they_are(site: Site, tmp_path: Path, fault: str) -> None:
    record = get(archive_entry(BODY, site.put("/f", BODY, fault)), tmp_path)
    assert record["bytes"] == len(BODY)


@pytest.mark.parametrize("fault", ["wrong", "long", 404, 403, "away"])
def test_a_bad_host_is_left_at_once_for_the_next(
    site: Site, tmp_path: Path, fault: str | int, capsys: pytest.CaptureFixture[str]
) -> None:
    get(archive_entry(BODY, site.put("/bad", BODY, fault), site.put("/good", BODY)), tmp_path)
    assert site.ranges("/bad") == [None] and site.ranges("/good") == [None]
    expected = {
        "wrong": "wrong checksum",
        "long": "more than 400000",
        "away": "plain http is refused",
    }
    assert expected.get(str(fault), f"HTTP {fault}") in capsys.readouterr().err


def test_another_length_is_refused_before_the_download(site: Site, tmp_path: Path) -> None:
    get(archive_entry(BODY, site.put("/bad", BODY * 20), site.put("/good", BODY)), tmp_path)
    assert site.sent_bytes < len(BODY) * 20


def test_passing_faults_are_retried_with_growing_waits(
    site: Site, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRIES", 3)
    monkeypatch.setattr(download, "BACKOFF_S", 0.5)
    url = site.put("/f", BODY, 503, 429, 500, "ok")
    get(archive_entry(BODY, url), tmp_path)
    assert waits == [0.5, 1.0, 2.0] and len(site.requests) == 4


def test_retries_are_counted_per_address(
    site: Site, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BACKOFF_S", 1)
    urls = [site.put("/one", BODY, 503), site.put("/two", BODY, 503, "ok")]
    get(archive_entry(BODY, *urls), tmp_path)
    assert waits == [1, 2, 1] and len(site.ranges("/one")) == 3


@pytest.mark.parametrize("fault", ["cut", "cut-unannounced"])
def test_a_truncated_download_is_resumed(site: Site, tmp_path: Path, fault: str) -> None:
    get(archive_entry(BODY, site.put("/f", BODY, fault, "ok")), tmp_path)
    first, second = site.ranges("/f")
    assert first is None and second is not None
    offset = int(second.removeprefix("bytes=").removesuffix("-"))
    assert 128 * 1024 <= offset <= len(BODY) // 2
    wanted_bytes = len(BODY) // 2 + len(BODY) - offset
    assert site.sent(wanted_bytes) == wanted_bytes


def test_a_download_is_resumed_by_a_later_call(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = archive_entry(BODY, site.put("/f", BODY, "cut", "ok"))
    with monkeypatch.context() as patch:
        patch.setattr(download, "RETRIES", 0)
        with pytest.raises(EvengroundError, match="broke off after"):
            get(raw, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAME + ".part"]
    kept = (tmp_path / (NAME + ".part")).stat().st_size
    get(raw, tmp_path)
    assert kept >= 128 * 1024 and site.ranges("/f") == [None, f"bytes={kept}-"]


def test_a_download_is_resumed_at_the_next_host(site: Site, tmp_path: Path) -> None:
    urls = [site.put("/one", BODY, "cut", 404), site.put("/two", BODY)]
    get(archive_entry(BODY, *urls), tmp_path)
    (asked,) = site.ranges("/two")
    assert asked is not None and int(asked[6:-1]) >= 128 * 1024


def test_long_downloads_that_move_on_use_up_no_retry(
    site: Site, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WORTHWHILE_BYTES", 64 * 1024)
    monkeypatch.setattr(download, "BACKOFF_S", 1)
    url = site.put("/f", BODY, "cut", 503, "cut", 503, "ok")
    get(archive_entry(BODY, url), tmp_path)
    assert waits == [1, 2, 1, 2]


@pytest.mark.parametrize("fault", ["no-range", "other-range"])
def test_a_host_that_does_not_continue_starts_again(site: Site, tmp_path: Path, fault: str) -> None:
    (tmp_path / (NAME + ".part")).write_bytes(BODY[:100_000])
    get(archive_entry(BODY, site.put("/f", BODY, fault, "ok")), tmp_path)
    assert site.ranges("/f") == ["bytes=100000-"] + [None] * (fault == "other-range")


def test_a_spoilt_part_file_does_not_spoil_the_host(site: Site, tmp_path: Path) -> None:
    (tmp_path / (NAME + ".part")).write_bytes(b"x" * 100_000)
    get(archive_entry(BODY, site.put("/f", BODY)), tmp_path)
    assert site.ranges("/f") == ["bytes=100000-", None]


def test_a_part_file_that_is_too_long_is_fetched_again(site: Site, tmp_path: Path) -> None:
    """The server's 416 says that the file ends before it."""
    (tmp_path / (NAME + ".part")).write_bytes(BODY + b"too much")
    get(archive_entry(BODY, site.put("/f", BODY)), tmp_path)
    assert site.ranges("/f") == [f"bytes={len(BODY) + 8}-", None]


def test_a_complete_part_file_needs_no_request(site: Site, tmp_path: Path) -> None:
    (tmp_path / (NAME + ".part")).write_bytes(BODY)
    get(archive_entry(BODY, site.put("/f", BODY)), tmp_path)
    assert site.requests == []


def test_verified_files_are_kept_and_damaged_ones_replaced(site: Site, tmp_path: Path) -> None:
    raw = archive_entry(BODY, site.put("/f", BODY))
    first = get(raw, tmp_path)
    assert get(raw, tmp_path)["source"] == "kept" and len(site.requests) == 1
    (tmp_path / NAME).write_bytes(BODY[:-1] + b"?")
    assert get(raw, tmp_path) == first and len(site.requests) == 2


def mirror(folder: Path, content: bytes) -> str:
    """A mirror folder that holds `content` as the file of `small`."""
    (folder / "small").mkdir(parents=True)
    (folder / "small" / NAME).write_bytes(content)
    return str(folder)


def test_a_mirror_comes_first_and_is_not_named_in_the_record(site: Site, tmp_path: Path) -> None:
    raw = archive_entry(BODY, site.put("/f", BODY))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / (NAME + ".part")).write_bytes(b"left over")
    assert get(raw, tmp_path / "raw", mirror(tmp_path / "m", BODY))["source"] == "mirror"
    assert site.requests == []


def test_a_bad_mirror_is_named_and_passed_over(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = archive_entry(BODY, site.put("/f", BODY))
    bad, missing = mirror(tmp_path / "bad", BODY[:-1] + b"?"), str(tmp_path / "missing")
    assert get(raw, tmp_path / "raw", missing, bad)["source"] == "127.0.0.1"
    told = capsys.readouterr().err
    assert f"{NAME}: mirror {missing}: not there" in told
    assert f"{NAME}: mirror {bad}: wrong checksum" in told
    assert (tmp_path / "bad" / "small" / NAME).exists()


def test_a_mirror_file_of_another_size_is_told_by_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    get(
        archive_entry(BODY),
        tmp_path / "raw",
        mirror(tmp_path / "a", BODY[:-1]),
        mirror(tmp_path / "b", BODY),
    )
    assert "399999 bytes instead of 400000" in capsys.readouterr().err


def test_a_mirror_that_may_not_be_read_is_passed_over(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, really_open = Path(mirror(tmp_path / "m", BODY)), Path.open

    def guarded(self: Path, *more: Any, **named: Any) -> Any:
        if closed in self.parents:
            raise PermissionError(13, "Permission denied")
        return really_open(self, *more, **named)

    monkeypatch.setattr(Path, "open", guarded)
    raw = archive_entry(BODY, site.put("/f", BODY))
    assert get(raw, tmp_path / "raw", str(closed))["source"] == "127.0.0.1"


def test_a_mirror_may_be_an_address(site: Site, tmp_path: Path) -> None:
    site.put(f"/pub/small/{NAME}", BODY)
    assert get(archive_entry(BODY), tmp_path, site.base + "/pub/")["source"] == "mirror"


def test_mirrors_come_from_options_then_from_the_environment() -> None:
    variable = {"EVENGROUND_MIRRORS": "https://a.example:8443/x, /srv/with space/m ,"}
    assert all_mirrors(["/first"], variable) == [
        "/first",
        "https://a.example:8443/x",
        "/srv/with space/m",
    ]
    assert all_mirrors(["/first", "/first"], {}) == ["/first"]


def test_a_generated_dataset_has_nothing_to_fetch(tmp_path: Path) -> None:
    fetched = fetch_dataset(load_registry(REGISTRY)["shapes"], tmp_path, [])
    assert fetched == Fetched(dataset="shapes", files={})
    assert [path.name for path in tmp_path.iterdir()] == ["fetched.json"]


def test_plain_http_to_another_machine_is_never_sent() -> None:
    with (
        download.open_session() as session,
        pytest.raises(requests.exceptions.InvalidSchema, match="refused"),
    ):
        session.get("http://example.invalid/x")


# --- the command line: every failure is one line, exit code 1, and what was good stays ---


def four_files(site: Site, fault: str | int) -> dict[str, Any]:
    """An entry of four files of which all but the last can be had, from one host."""
    names = ["train_images", "train_labels", "test_images", "test_labels"]
    contents = {name: BODY[k : 100_000 + k] for k, name in enumerate(names)}
    listed = described(
        contents, {name: [site.put(f"/{name}", content)] for name, content in contents.items()}
    )
    site.faults["/test_labels"] = [fault]
    return raw_entry(
        [{"role": file["name"], **file} for file in listed],
        format="idx",
        network="mlp",
        height=5,
        width=4,
        channels=1,
    )


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("wrong", "127.0.0.1: wrong checksum: sha256"),
        (404, "127.0.0.1: HTTP 404"),
        (503, "127.0.0.1: HTTP 503"),
        ("cut", "127.0.0.1: broke off after"),
        ("cut-unannounced", "127.0.0.1: ended after 75000 of 100000 bytes"),
        ("stall", "127.0.0.1: nothing came for 0.3 s"),
    ],
)
def test_a_failed_download_is_one_line_and_loses_nothing(
    site: Site,
    scripts: Scripts,
    monkeypatch: pytest.MonkeyPatch,
    fault: str | int,
    expected: str,
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(download, "RETRIES", 1)
    raw = four_files(site, fault)
    line = scripts.fetch(raw).error()
    assert (
        "dataset 'small': no source gave test_labels" in line
        and expected in line
        and "--mirror" in line
    )
    left = {path.name for path in (scripts.folder / "raw").iterdir()}
    assert left - {"test_labels.part"} == {"train_images", "train_labels", "test_images"}
    site.faults["/test_labels"] = ["ok"]
    asked = len(site.requests)
    assert scripts.fetch(raw).code == 0
    assert len(site.requests) == asked + 1


def test_no_network_is_one_line(scripts: Scripts) -> None:
    line = scripts.fetch(archive_entry(BODY, closed_address(), closed_address())).error()
    assert line.count("127.0.0.1: no connection") == 2 and "check the network" in line


def test_404_on_every_host_is_one_line_that_names_them(
    site: Site, scripts: Scripts, tmp_path: Path
) -> None:
    raw = archive_entry(
        BODY, site.put("/a", BODY, 404), site.base.replace("127.0.0.1", "localhost") + "/b"
    )
    line = scripts.fetch(raw, "--mirror", tmp_path / "m1", tmp_path / "m2").error()
    assert "127.0.0.1: HTTP 404; localhost: HTTP 404" in line
    assert f"mirror {tmp_path / 'm1'}: not there; mirror {tmp_path / 'm2'}: not there" in line
    assert len(site.requests) == 2


def test_a_dataset_without_any_source_is_one_line(scripts: Scripts) -> None:
    assert "no address and no mirror was given" in scripts.fetch(archive_entry(BODY)).error()


def test_an_unknown_dataset_is_one_line(scripts: Scripts) -> None:
    assert "did you mean 'mnist'?" in scripts.fetch(None, dataset="mnits").error()
    assert not (scripts.folder / "raw").exists()
    assert "unknown dataset 'mnits'" in scripts.prepare(None, dataset="mnits").error()


def test_a_broken_entry_is_one_line(scripts: Scripts) -> None:
    assert "key 'height'" in scripts.fetch(archive_entry(BODY, height=0)).error()


def test_an_empty_list_of_mirrors_is_allowed(site: Site, scripts: Scripts) -> None:
    done = scripts.fetch(archive_entry(BODY, site.put("/f", BODY)), "--mirror")
    assert done.code == 0 and done.stdout == "small: 1 files, 400000 bytes, all verified\n"


def test_the_environment_gives_mirrors(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "EVENGROUND_MIRRORS", f"{tmp_path}/nowhere,{mirror(tmp_path / 'a mirror', BODY)}"
    )
    assert scripts.fetch(archive_entry(BODY)).code == 0


def test_progress_is_reported_in_lines(
    site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = archive_entry(BODY, site.put("/f", BODY))
    assert scripts.fetch(raw).stderr.splitlines() == [f"{NAME}: from 127.0.0.1"]
    (scripts.folder / "raw" / NAME).unlink()
    monkeypatch.setattr(download, "REPORT_EVERY_S", 0)
    reported = scripts.fetch(raw).stderr.splitlines()
    assert reported[0] == f"{NAME}: from 127.0.0.1"
    assert reported[-1] == f"{NAME}: 400000 of 400000 bytes" and len(reported) > 2
