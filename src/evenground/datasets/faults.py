"""What went wrong with one source, in words of ours: a library's own may hold a password or a token."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import requests
import urllib3

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
# What requests, urllib3 and Python itself raise while a file is asked for; requests' errors are OSErrors.
TRANSFER_ERRORS = (
    OSError,
    ValueError,
    OverflowError,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
)
_TIMEOUTS = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# What waiting does not fix; the first that fits any of the causes counts.
_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((requests.exceptions.InvalidProxyURL,), "the proxy's address is not valid"),
    ((urllib3.exceptions.ProxySchemeUnknown,), "the proxy's address is not valid"),
    ((requests.exceptions.InvalidSchema,), "the proxy or a redirect is neither https nor http"),
    ((requests.exceptions.TooManyRedirects,), "redirects in circles"),
    # By now its own form has been looked at: what is left are host names, ports and redirects.
    (
        (ValueError, urllib3.exceptions.LocationValueError),
        "not a valid address, its own or a redirect's",
    ),
)


class HostFailed(Exception):
    """This address will not give the file: try the next one."""


class PassingFault(Exception):
    """Something that may work a little later, at the same address; not before `wait_s` seconds."""

    def __init__(self, words: str, wait_s: float = 0.0) -> None:
        super().__init__(words)
        self.wait_s = wait_s


class Refused(requests.exceptions.InvalidSchema):
    """An address that must not be asked; the text says why, without the address."""


def fault_in(error: BaseException, timeout_s: float, received_bytes: int | None) -> Exception:
    """The HostFailed or PassingFault that `error` means.

    `timeout_s` is how long was waited; `received_bytes` are those of the file, None before any.
    """
    causes = list(_causes(error))
    told = next(filter(None, map(_told, causes)), None)
    if told is not None:
        return told
    for kinds, words in _WORDS if received_bytes is None else ():
        if any(isinstance(cause, kinds) for cause in causes):
            return HostFailed(words)
    # A refused connection is called one of urllib3's timeouts, too.
    refused = any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes)
    if not refused and any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return PassingFault(f"nothing came for {timeout_s:g} s")
    if received_bytes is not None:
        return PassingFault(f"broke off after {received_bytes} bytes")
    return _no_answer(causes)


def of_status(status: int, who: str = "") -> Exception:
    """The fault that an HTTP status means."""
    words = f"{who}HTTP {status}"
    if status == 407:
        words = "the proxy asks for a login (HTTP 407)"
    return PassingFault(words) if status in PASSING_STATUS else HostFailed(words)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was made of, the outermost first."""
    found = [error]
    for one in found:
        inner: list[Any] = [*one.args, getattr(one, "reason", None), one.__cause__]
        found += [
            cause for cause in inner if isinstance(cause, BaseException) and cause not in found
        ]
        yield one


def _told(cause: BaseException) -> Exception | None:
    """What one of the causes alone says; None where it says nothing, or another one says more."""
    if isinstance(cause, Refused):
        return HostFailed(str(cause))
    if isinstance(cause, OSError) and (tunnel := _TUNNEL.search(str(cause))):
        return of_status(int(tunnel[1]), "the proxy refuses: ")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return HostFailed(f"its certificate is not trusted: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        reason = str(cause.reason or "refused")
        return HostFailed(f"no secure connection: {reason.lower().replace('_', ' ')}")
    # What requests raises before it sends anything; the system's own errors have a number.
    if type(cause) is OSError and cause.errno is None and "TLS" in str(cause):
        named = next((name for name in _CERTIFICATES if os.environ.get(name)), "requests")
        path = os.environ.get(named, "its own")
        return HostFailed(f"the certificates that {named} names are not there: {path}")
    if isinstance(cause, socket.gaierror):
        return PassingFault("no connection: the host's name is not known")
    return None


def _no_answer(causes: Sequence[BaseException]) -> Exception:
    """Before any content: refused, cut off, an answer that is no HTTP, or something that nobody foresaw."""
    by_system = [
        cause
        for cause in causes
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError)
    ]
    known = [cause.strerror for cause in by_system if cause.strerror]
    to = (
        " to the proxy"
        if any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes)
        else ""
    )
    if known:
        return PassingFault(f"no connection{to}: {str(known[-1]).lower()}")
    if any(isinstance(cause, http.client.RemoteDisconnected) for cause in causes):
        return PassingFault(f"no connection{to}: closed without an answer")
    if any(isinstance(cause, http.client.HTTPException) for cause in causes):
        return HostFailed("answers something that is no HTTP")
    if isinstance(causes[0], OSError):
        return PassingFault(f"no connection{to}")
    return HostFailed(f"cannot be asked: {type(causes[0]).__name__}")
