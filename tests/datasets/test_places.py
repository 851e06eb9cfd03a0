"""One bad place among several: its fault is one line, without its password, and the next place is tried."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from datasets.faulty_server import Site
from datasets.small_data import Outcome, Scripts, archive_entry
from datasets.test_fetch import BODY, NAME, mirror
from evenground.addresses import host_of, inside, shown, shown_in
from evenground.datasets import download
from evenground.datasets.faults import HostFailed, PassingFault, fault_in

SECRETS = ("secret", "user")


@contextmanager
def proxy(status: int) -> Iterator[str]:
    """A proxy that answers every CONNECT with `status`; its address has a password."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(status)

        def log_message(self, *args: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://user:secret@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def one_answer(answer: bytes) -> Iterator[int]:
    """A port that takes connections, and answers each with these bytes, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(autouse=True)
def _no_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad place is tried once; how often it may be is in test_fetch."""
    monkeypatch.setattr(download, "RETRIES", 0)


def passed_over(scripts: Scripts, tmp_path: Path, *bad: object) -> str:
    """Fetch with `bad` mirrors before a good one; what was said of them, in which there is no secret."""
    good = mirror(tmp_path / "good", BODY)
    mirrors = [word for place in (*bad, good) for word in ("--mirror", place)]
    done = scripts.fetch(archive_entry(BODY), *mirrors)
    assert done.code == 0, done
    assert_no_secret(done)
    return done.stderr


def assert_no_secret(done: Outcome) -> None:
    for secret in SECRETS:
        assert secret not in done.stderr + done.stdout, done


def test_certificates_that_are_not_there(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    said = passed_over(scripts, tmp_path, "https://localhost:1/x")
    assert "mirror https://localhost:1/x: failed: OSError" in said
    (scripts.folder / "raw" / NAME).unlink()
    line = scripts.fetch(archive_entry(BODY, "https://localhost:1/x")).error()
    assert "(localhost: failed: OSError)" in line


def test_certificates_that_are_none(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.pem").write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "odd.pem"))
    with one_answer(b"") as port:
        said = passed_over(
            scripts, tmp_path, f"https://user:secret@localhost:{port}/x?token=secret"
        )
    assert f"mirror https://localhost:{port}/x: no connection: " in said


@pytest.mark.parametrize(
    ("place", "told", "why"),
    [
        ("https://[mirror/x", "https://[mirror/x", "not a valid address"),
        ("https://user:secret@[mirror/x", "https://[mirror/x", "not a valid address"),
        ("https://user:se#secret@mirror/x", "https://mirror/x", "not a valid address"),
        ("https://user:se/secret@mirror/x", "https://mirror/x", "not a valid address"),
        ("https://localhost:99999/x", "https://localhost:99999/x", "not a valid address"),
        ("https://localhost:eighty/x", "https://localhost:eighty/x", "not a valid address"),
        ("https://localhost:0/x", "https://localhost:0/x", "not a valid address"),
        ("https://", "https://", "not a valid address"),
        ("https://.example/x", "https://.example/x", "failed: InvalidURL"),
        (f"https://{'a' * 70}.example/x", f"https://{'a' * 70}.example/x", "failed: "),
        ("https://\u2603\u0000.example/x", "https://\u2603\u0000.example/x", ""),
        ("http://user:secret@mirror.example/x", "http://mirror.example/x", "plain http is refused"),
        ("ftp://user:secret@mirror.example/x", "ftp://mirror.example/x", "ftp is refused"),
        ("file:///srv/mirror", "file:///srv/mirror", "not a valid address"),
        ("https://user:secret@localhost:1/x?sig=secret", "https://localhost:1/x", "no connection"),
        ("https://bücher.invalid/x", "https://bücher.invalid/x", "no connection"),
        ("mirror.example/x", "mirror.example/x", "not there"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x", "not there"),
        ("x" * 5000, "x" * 5000, "not there"),
    ],
)
def test_an_address_that_is_wrong(
    scripts: Scripts, tmp_path: Path, place: str, told: str, why: str
) -> None:
    said = passed_over(scripts, tmp_path, place)
    assert f"{NAME}: mirror {told}: {why}" in said


@pytest.mark.parametrize("status", [407, 403, 502])
def test_a_proxy_that_refuses(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with proxy(status) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        said = passed_over(scripts, tmp_path, "https://mirror.example/x")
    assert "failed: ProxyError" in said


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://user:secret@[x", "failed: "),
        ("odd://user:secret@127.0.0.1:1", "failed: "),
        ("socks5://user:secret@127.0.0.1:1", "failed: InvalidSchema"),
        ("http://user:secret@127.0.0.1:1", "no connection: connection refused"),
    ],
)
def test_a_proxy_whose_address_is_wrong(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    assert why in passed_over(scripts, tmp_path, "https://mirror.example/x")


def test_no_proxy_for_a_host_and_a_broken_netrc(
    site: Site, scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password\n{{{\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    done = scripts.fetch(archive_entry(BODY, site.put("/f", BODY)))
    assert done.code == 0, done
    assert_no_secret(done)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("away", "plain http is refused: example.invalid"),
        ("to:file:///etc/passwd?secret", "failed: InvalidSchema"),
        ("to:ftp://user:secret@x/y", "failed: InvalidSchema"),
        ("to:https://[secret/x", "failed: ValueError"),
        ("to:https://user:secret@localhost:99999/", "failed: ValueError"),
        ("to:https://user:secret@127.0.0.1:1/?token=secret", "no connection: connection refused"),
        (f"to:/m/small/{NAME}?token=secret", "failed: TooManyRedirects"),
        ("page", "answers with a web page in place of the file"),
        ("not-http", "failed: ConnectionError"),
        ("hang-up", "failed: ConnectionError"),
        ("cut", "broke off after"),
        ("claims:300", "offers 300 bytes instead of 400000"),
        ("claims:²", ""),
        ("claims:-5", ""),
        ("claims:" + "9" * 5000, ""),
        ("pause:2", "HTTP 503"),
        (401, "HTTP 401"),
    ],
)
def test_a_mirror_that_answers_oddly(
    site: Site, scripts: Scripts, tmp_path: Path, fault: str | int, why: str
) -> None:
    site.put(f"/m/small/{NAME}?token=secret", BODY, fault)
    address = site.base.replace("http://", "http://user:secret@") + "/m?token=secret"
    said = passed_over(scripts, tmp_path, address)
    assert f"mirror {site.base}/m: {why}" in said or not why


def test_a_mirror_that_speaks_no_tls(scripts: Scripts, tmp_path: Path) -> None:
    with one_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        said = passed_over(scripts, tmp_path, f"https://user:secret@127.0.0.1:{port}/x")
    assert f"mirror https://127.0.0.1:{port}/x: no connection: " in said


def test_a_token_stays_behind_the_path(site: Site, scripts: Scripts, tmp_path: Path) -> None:
    site.put(f"/m/small/{NAME}?sig=secret", BODY)
    done = scripts.fetch(archive_entry(BODY), "--mirror", site.base + "/m/?sig=secret")
    assert done.code == 0 and site.requests[0][0] == f"/m/small/{NAME}?sig=secret"
    assert_no_secret(done)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("3", [3.0]),
        ("0", [1.0]),
        ("soon", [1.0]),
        ("-5", [1.0]),
        (formatdate(0, usegmt=True), [1.0]),
    ],
)
def test_a_pause_that_is_asked_for_is_kept(
    site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch, asked: str, waited: list[float]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    monkeypatch.setattr(download, "RETRIES", 1)
    monkeypatch.setattr(download, "BACKOFF_S", 1)
    raw = archive_entry(BODY, site.put("/f", BODY, f"pause:{asked}", "ok"))
    assert scripts.fetch(raw).code == 0 and slept == waited


def test_who_asks_for_a_long_pause_is_left(
    site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRIES", 1)
    urls = [site.put("/a", BODY, "pause:3600"), site.put("/b", BODY)]
    done = scripts.fetch(archive_entry(BODY, *urls))
    assert done.code == 0 and "127.0.0.1: HTTP 503, and asks to wait 3600 s" in done.stderr


def test_a_folder_that_breaks_off_is_passed_over(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, really_open = Path(mirror(tmp_path / "bad", BODY)), Path.open

    def open_broken(self: Path, *more: Any, **named: Any) -> Any:
        if bad in self.parents:
            return really_open(Path("/proc/self/mem"), "rb")
        return really_open(self, *more, **named)

    monkeypatch.setattr(Path, "open", open_broken)
    said = passed_over(scripts, tmp_path, bad)
    assert f"mirror {bad}: cannot be read: Input/output error" in said


@pytest.mark.parametrize("made", ["a file", "a folder", "a loop"])
def test_a_mirror_that_is_no_folder_with_the_file(
    scripts: Scripts, tmp_path: Path, made: str
) -> None:
    bad = tmp_path / "bad"
    if made == "a file":
        bad.write_text("not a folder")
    elif made == "a folder":
        (bad / "small" / NAME).mkdir(parents=True)
    else:
        bad.symlink_to(bad)
    assert f"mirror {bad}: not there" in passed_over(scripts, tmp_path, bad)


def test_a_relative_mirror_and_one_at_home(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(tmp_path / "here", BODY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in ("here", "./here", "~/here"):
        assert scripts.fetch(archive_entry(BODY), "--mirror", place, "--mirror", "").code == 0
        (scripts.folder / "raw" / NAME).unlink()


def test_mirrors_of_the_configuration_need_no_command_line(
    scripts: Scripts, tmp_path: Path
) -> None:
    options = scripts.configured(archive_entry(BODY))
    path = Path(str(options[-1]))
    settings = json.loads(path.read_text(encoding="utf-8"))

    def fetch(mirrors: object) -> Outcome:
        path.write_text(json.dumps({**settings, "mirrors": mirrors}), encoding="utf-8")
        folder = scripts.folder / "raw"
        return scripts.call("fetch", *options, "--dataset", "small", "--output-dir", folder)

    wrong = fetch("https://user:secret@m/x")
    assert "'mirrors' = 'https://m/x' is not allowed" in wrong.error()
    assert_no_secret(wrong)
    assert fetch([mirror(tmp_path / "m", BODY)]).code == 0


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://user:secret@host:8443/x?token=secret#secret", "https://host:8443/x"),
        ("https://secret@host/x", "https://host/x"),
        ("https://user:se@cret@host/x", "https://host/x"),
        ("https://host/npm/package@1.2/x", "https://host"),
        ("https://user:secret word@host/x", "https://host/x"),
        ("https://[::1]:80/x?secret", "https://[::1]:80/x"),
        ("/a/folder/with@sign?and#more", "/a/folder/with@sign?and#more"),
    ],
)
def test_addresses_are_told_without_secrets(address: str, told: str) -> None:
    assert shown(address) == told
    assert "secret" not in shown_in(f"it says {address.replace(' ', '')} here")


def test_the_place_of_a_file_in_a_mirror() -> None:
    assert (
        inside("https://u:p@host/a/?sig=1#x", "mnist", "f.gz")
        == "https://u:p@host/a/mnist/f.gz?sig=1"
    )
    assert inside("https://host", "mnist", "f.gz") == "https://host/mnist/f.gz"
    assert host_of("https://u:p@Host:1/x") == "host"


ODD: list[tuple[Callable[[], BaseException], str]] = [
    (lambda: OverflowError("port"), "failed: OverflowError"),
    (lambda: ValueError("secret"), "failed: ValueError"),
    (lambda: UnicodeError("secret"), "failed: UnicodeError"),
    (lambda: requests.exceptions.ContentDecodingError("secret"), "failed: "),
    (lambda: urllib3.exceptions.DecodeError("secret"), "failed: DecodeError"),
    (
        lambda: PermissionError(13, "Permission denied", "secret"),
        "no connection: permission denied",
    ),
    (lambda: ssl.SSLEOFError(8, "EOF occurred"), "no connection: eof occurred"),
]


@pytest.mark.parametrize(("make", "words"), ODD)
def test_an_error_that_nobody_foresaw_has_words_of_ours(
    make: Callable[[], BaseException], words: str
) -> None:
    fault = fault_in(make(), 1.0, None)
    assert isinstance(fault, (HostFailed, PassingFault))
    assert str(fault).startswith(words) and "secret" not in str(fault)
