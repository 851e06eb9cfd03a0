"""One file from one address over HTTPS: timeouts, retries with back-off, resume, verification."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from evenground.addresses import fault_of, host_of
from evenground.datasets.faults import (
    TRANSFER_ERRORS,
    HostFailed,
    PassingFault,
    Refused,
    fault_in,
    of_status,
)
from evenground.datasets.registry import RemoteFile
from evenground.datasets.storage import mismatch
from evenground.files import MEBIBYTE, require_space, writing

CHUNK_BYTES = 64 * 1024
WORTHWHILE_BYTES = MEBIBYTE
# For a connection, and between two packets.
TIMEOUT_S = 30.0
# Further attempts per address after passing faults; the wait before them doubles each time.
RETRIES = 3
BACKOFF_S = 1.0
# How often a long download reports how far it is.
REPORT_EVERY_S = 5.0
# If a host asks for a longer pause, the next address is tried.
MAX_PAUSE_S = 60.0
OK, PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 200, 206, 416


class _StartOver(Exception):
    """The content of the part file cannot be continued here."""


class _HttpsOrLoopback(HTTPAdapter):
    """Refuses plain http to other machines, including redirects."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send a request. Raises Refused for plain http to another machine."""
        url = request.url or ""
        if fault_of(url):
            raise Refused(f"plain http is refused: {host_of(url)}")
        return super().send(request, *args, **kwargs)


def report(text: str) -> None:
    """Print a message on standard error."""
    print(text, file=sys.stderr, flush=True)


def open_session() -> requests.Session:
    """A session for https, and plain http to this machine itself, that requests raw bytes."""
    session = requests.Session()
    session.mount("http://", _HttpsOrLoopback())
    # Checksums are those of the compressed files.
    session.headers["Accept-Encoding"] = "identity"
    return session


def download(url: str, part: Path, file: RemoteFile, session: requests.Session) -> None:
    """Leave the complete, verified file in `part`, continuing the content it already has.

    Raises HostFailed if this address cannot give it, EvengroundError if the disk is full or
    read-only. A failure after at least 1 MiB of new bytes does not use up a retry.
    """
    # The farthest byte so far: only bytes beyond it are progress, also after starting over.
    failures, furthest = 0, _size(part)
    while True:
        try:
            return _attempt(url, part, file, session)
        except PassingFault as fault:
            if _size(part) - furthest >= WORTHWHILE_BYTES:
                failures = 0
            failures += 1
            furthest = max(furthest, _size(part))
            if failures > RETRIES:
                raise HostFailed(str(fault)) from fault
            if fault.wait_s > MAX_PAUSE_S:
                raise HostFailed(f"{fault}, and asks to wait {fault.wait_s:.0f} s") from fault
            delay_s = max(BACKOFF_S * 2 ** (failures - 1), fault.wait_s)
            next_attempt = f"next attempt in {delay_s:g} s ({failures} of {RETRIES})"
            report(f"{host_of(url)}: {fault}; {next_attempt}")
            time.sleep(delay_s)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _attempt(url: str, part: Path, file: RemoteFile, session: requests.Session) -> None:
    """Raises HostFailed if the file is wrong, although this address sent all of it."""
    resumed = _size(part) > 0
    problem = _complete(url, part, file, session)
    if problem and resumed:
        # The beginning came from an earlier invocation or another address.
        problem = _complete(url, part, file, session)
    if problem:
        raise HostFailed(problem)


def _complete(url: str, part: Path, file: RemoteFile, session: requests.Session) -> str:
    """Complete and verify `part`; if that fails, remove it and return the problem, else ""."""
    try:
        if _size(part) != file.bytes:
            _request(url, part, file, session)
        problem = mismatch(part, file)
    except _StartOver as reason:
        problem = str(reason)
    if problem:
        part.unlink(missing_ok=True)
    return problem


def _request(url: str, part: Path, file: RemoteFile, session: requests.Session) -> None:
    """Request and store what `part` is missing.

    Raises HostFailed or PassingFault for every fault of the source.
    """
    offset = _size(part)
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    storing = False
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            start = _first_byte(response, offset)
            _refuse_other_length(response, start, file)
            require_space(part.parent, file.bytes - start)
            storing = True
            _store(response, part, start, file)
    except TRANSFER_ERRORS as error:
        received_bytes = _size(part) if storing else None
        raise fault_in(error, TIMEOUT_S, received_bytes) from error


def _first_byte(response: requests.Response, offset: int) -> int:
    """Position in the file of the first byte of this answer; raises for anything but content."""
    status = response.status_code
    if status == OK:
        return 0
    if status == PARTIAL_CONTENT:
        content_range = response.headers.get("Content-Range", "")
        if offset and content_range.startswith(f"bytes {offset}-"):
            return offset
        raise _StartOver("answers another range than asked")
    if status == RANGE_NOT_SATISFIABLE:
        raise _StartOver("refuses to continue the file (HTTP 416)")
    fault = of_status(status)
    if isinstance(fault, PassingFault):
        fault.wait_s = _pause_s(response)
    raise fault


def _refuse_other_length(response: requests.Response, start: int, file: RemoteFile) -> None:
    """Raises HostFailed for an answer that cannot be the file, before it is downloaded."""
    length = response.headers.get("Content-Length", "")
    # Some hosts send no length, or nonsense: then the content decides.
    total_bytes = None
    if re.fullmatch(r"\d{1,18}", length, re.ASCII):
        total_bytes = start + int(length)
    if total_bytes == file.bytes:
        return
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise HostFailed("answers with a web page in place of the file")
    if total_bytes is not None:
        raise HostFailed(f"offers {total_bytes} bytes instead of {file.bytes}")


def _pause_s(response: requests.Response) -> float:
    """How many seconds a host asks to wait; 0 if it does not say, or names a date."""
    retry_after = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", retry_after, re.ASCII):
        return float(retry_after)
    return 0.0


def _store(response: requests.Response, part: Path, start: int, file: RemoteFile) -> None:
    """Write the body from byte `start` on; the part file keeps what arrived before a fault.

    Raises PassingFault if the body ends early, _StartOver if it is too long.
    """
    position, reported = start, time.monotonic()
    mode = "r+b" if start else "wb"
    with writing(part):
        stream = part.open(mode)
        stream.seek(start)
    with stream:
        # Not decoded: some hosts send these .gz files as "Content-Encoding: gzip".
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
            position += len(chunk)
            if position > file.bytes:
                raise _StartOver(f"sends more than {file.bytes} bytes")
            with writing(part):
                stream.write(chunk)
                stream.flush()
            if time.monotonic() - reported >= REPORT_EVERY_S:
                reported = time.monotonic()
                report(f"{file.name}: {position} of {file.bytes} bytes")
    if position < file.bytes:
        raise PassingFault(f"ended after {position} of {file.bytes} bytes")
