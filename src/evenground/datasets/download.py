"""One file from one address over HTTPS: timeouts, retries with back-off, resume, verification."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
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
from evenground.datasets.progress import Progress
from evenground.datasets.registry import RemoteFile
from evenground.datasets.storage import MEBIBYTE, free_bytes, mismatch, require_space
from evenground.errors import EvengroundError
from evenground.files import writing

CHUNK_BYTES = 64 * 1024
WORTHWHILE_BYTES = MEBIBYTE
# A host that asks for a longer pause is left for the next one.
MAX_PAUSE_S = 60.0


@dataclass(frozen=True)
class Policy:
    """How patient a download is.

    timeout_s: seconds to wait for a connection, and for the next bytes; retries: further attempts per address
    after a passing fault; backoff_s: seconds before the first of them, doubled each time.
    """

    timeout_s: float = 30.0
    retries: int = 3
    backoff_s: float = 1.0

    def __post_init__(self) -> None:
        """EvengroundError for a wait that makes no sense."""
        if self.timeout_s <= 0 or self.retries < 0 or self.backoff_s < 0:
            raise EvengroundError(
                "timeout, retries or back-off out of range", str(self), "give positive numbers"
            )


class _StartOver(Exception):
    """What lies in the part file cannot be continued here."""


class _HttpsOrLoopback(HTTPAdapter):
    """Refuses plain http to other machines, redirects included."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        if fault_of(request.url or ""):
            raise Refused(f"plain http is refused: {host_of(request.url or '')}")
        return super().send(request, *args, **kwargs)


def open_session() -> requests.Session:
    """A session that speaks https only (and plain http to this machine itself) and asks for raw bytes."""
    session = requests.Session()
    session.mount("http://", _HttpsOrLoopback())
    session.headers["Accept-Encoding"] = "identity"
    return session


def download(
    url: str,
    part: Path,
    file: RemoteFile,
    policy: Policy,
    session: requests.Session,
    tell: Callable[[str], None],
) -> None:
    """Leave the whole, verified file in `part`, continuing what already lies there.

    Raises HostFailed when this address cannot give it, EvengroundError when the disk is full or read-only.
    A failure that came after at least 1 MiB of new bytes does not use up a retry.
    """
    failures, furthest = 0, _size(part)
    while True:
        try:
            return _attempt(url, part, file, policy, session)
        except PassingFault as fault:
            progressed = _size(part) - furthest >= WORTHWHILE_BYTES
            furthest = max(furthest, _size(part))
            failures = 1 if progressed else failures + 1
            if failures > policy.retries:
                raise HostFailed(str(fault)) from fault
            if fault.wait_s > MAX_PAUSE_S:
                raise HostFailed(f"{fault}, and asks to wait {fault.wait_s:.0f} s") from fault
            delay_s = max(policy.backoff_s * 2 ** (failures - 1), fault.wait_s)
            tell(
                f"{host_of(url)}: {fault}; next attempt in {delay_s:g} s ({failures} of {policy.retries})"
            )
            time.sleep(delay_s)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _attempt(
    url: str, part: Path, file: RemoteFile, policy: Policy, session: requests.Session
) -> None:
    resumed = _size(part) > 0
    try:
        if file.bytes is None or _size(part) != file.bytes:
            _request(url, part, file, policy, session)
        problem = mismatch(part, file)
        if problem is None:
            return
        part.unlink()
        if not resumed:
            raise HostFailed(problem)
    except _StartOver as reason:
        part.unlink(missing_ok=True)
        if not resumed:
            raise HostFailed(str(reason)) from reason
    # The beginning came from an earlier call or another address, so this address has not had its chance yet.
    _attempt(url, part, file, policy, session)


def _request(
    url: str, part: Path, file: RemoteFile, policy: Policy, session: requests.Session
) -> None:
    """Ask for what `part` lacks and store it; every fault of the source is a HostFailed or a PassingFault."""
    offset = _size(part)
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    received_bytes = None
    try:
        with session.get(url, headers=headers, stream=True, timeout=policy.timeout_s) as response:
            if response.status_code == 416 and _complete_at(response, offset):
                return
            start = _first_byte(response, offset)
            total = _total_bytes(response, start)
            _refuse_other(response, part, total, file)
            require_space(part.parent, max(0, (total or file.bytes or 0) - offset))
            received_bytes = start
            _store(response, part, start, total, file)
    except TRANSFER_ERRORS as error:
        received_bytes = None if received_bytes is None else _size(part)
        raise fault_in(error, policy.timeout_s, received_bytes) from error


def _refuse_other(
    response: requests.Response, part: Path, total: int | None, file: RemoteFile
) -> None:
    """HostFailed for what cannot be the file by its length alone."""
    if total is not None and total == file.bytes:
        return
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise HostFailed("answers with a web page in place of the file")
    if total is None:
        return
    if file.bytes is not None:
        with writing(part):
            part.unlink(missing_ok=True)
        raise HostFailed(f"offers {total} bytes instead of {file.bytes}")
    # Of a size that nobody has confirmed this says nothing about the disk: others may have a smaller file.
    if total - _size(part) > free_bytes(part.parent):
        raise HostFailed(f"offers {total} bytes, more than the disk has room for")


def _complete_at(response: requests.Response, offset: int) -> bool:
    """Whether a 416 says that the file ends where the part file ends."""
    return response.headers.get("Content-Range", "").replace(" ", "") == f"bytes*/{offset}"


def _first_byte(response: requests.Response, offset: int) -> int:
    """Position in the file of the first byte of this answer; raises for anything but content."""
    status = response.status_code
    if status == 200:
        return 0
    if status == 206:
        match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if offset and match and int(match[1]) == offset:
            return offset
        raise _StartOver("answers another range than asked")
    if status == 416:
        raise _StartOver("refuses to continue the file (HTTP 416)")
    fault = of_status(status)
    if isinstance(fault, PassingFault):
        fault.wait_s = _pause_s(response)
    raise fault


def _pause_s(response: requests.Response) -> float:
    """How long a host asks to be left alone, by seconds or by a date; 0 where it does not say."""
    asked = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", asked, re.ASCII):
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _total_bytes(response: requests.Response, start: int) -> int | None:
    """Length of the whole file as the host says it; None where it says nothing that can be one."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if re.fullmatch(r"\d{1,18}", length, re.ASCII) else None


def _store(
    response: requests.Response, part: Path, start: int, total: int | None, file: RemoteFile
) -> None:
    """Append the body from byte `start` on; the part file keeps whatever arrived before a fault."""
    position = start
    with writing(part):
        stream = part.open("r+b" if start else "wb")
        stream.seek(start)
    with stream, Progress(file.name, total or file.bytes, start) as progress:
        # Not decoded: a host that sends these .gz files as "Content-Encoding: gzip" must not unpack them.
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
            position += len(chunk)
            if file.bytes is not None and position > file.bytes:
                raise _StartOver(f"sends more than {file.bytes} bytes")
            with writing(part):
                stream.write(chunk)
                stream.flush()
            progress.advance(len(chunk))
    if file.bytes is not None and position < file.bytes:
        raise PassingFault(f"ended after {position} of {file.bytes} bytes")
