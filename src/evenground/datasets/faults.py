"""Faults of one source in the project's own words: a library's may hold a password or a token."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator, Sequence

import requests
import urllib3

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
PROXY_LOGIN_STATUS = 407
# What requests, urllib3 and Python raise during a transfer; the errors of requests are OSErrors.
TRANSFER_ERRORS = (
    OSError,
    ValueError,
    OverflowError,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
)
_TIMEOUTS = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_ODD_PROXY = "the proxy's address is not valid"
# Errors that waiting does not fix, and their messages; the first that fits any cause counts.
_LASTING: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.InvalidProxyURL, _ODD_PROXY),
    (urllib3.exceptions.ProxySchemeUnknown, _ODD_PROXY),
    (requests.exceptions.InvalidSchema, "the proxy or a redirect is neither https nor http"),
    (requests.exceptions.TooManyRedirects, "redirects in circles"),
    # The form of the address has been checked before: what remains are host names and ports, and
    # addresses of redirects. urllib3's LocationValueError is a ValueError, too.
    (ValueError, "not a valid address, its own or a redirect's"),
)


class HostFailed(Exception):
    """This address will not give the file: try the next one."""


class PassingFault(Exception):
    """A fault that may pass: try the same address again, but not before `wait_s` seconds."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class Refused(requests.exceptions.InvalidSchema):
    """An address that must not be contacted; the text says why, without the address."""


def fault_in(error: BaseException, timeout_s: float, received_bytes: int | None) -> Exception:
    """The HostFailed or PassingFault that `error` means.

    `timeout_s`: the timeout that was set; `received_bytes`: of the file, None before any content.
    """
    causes = list(_causes(error))
    for cause in causes:
        known = _known_fault(cause)
        if known is not None:
            return known
    if received_bytes is None:
        for kind, what in _LASTING:
            if _any_is(causes, kind):
                return HostFailed(what)
    # urllib3 counts a refused connection among its timeouts, too.
    refused = _any_is(causes, urllib3.exceptions.NewConnectionError)
    if _any_is(causes, *_TIMEOUTS) and not refused:
        return PassingFault(f"nothing came for {timeout_s:g} s")
    if received_bytes is not None:
        return PassingFault(f"broke off after {received_bytes} bytes")
    return _no_answer(causes)


def of_status(status: int, who: str = "") -> HostFailed | PassingFault:
    """The fault that an HTTP status means; `who` begins its text."""
    if status == PROXY_LOGIN_STATUS:
        return HostFailed("the proxy asks for a login (HTTP 407)")
    what = f"{who}HTTP {status}"
    if status in PASSING_STATUS:
        return PassingFault(what)
    return HostFailed(what)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that caused it, the outermost first."""
    causes = [error]
    # Grows while it is iterated over.
    for cause in causes:
        # requests and urllib3 keep the error they wrap among the arguments, or as the reason.
        inner = list(cause.args)
        inner += [getattr(cause, "reason", None), cause.__cause__]
        for candidate in inner:
            if isinstance(candidate, BaseException) and candidate not in causes:
                causes.append(candidate)
        yield cause


def _any_is(causes: Sequence[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _known_fault(cause: BaseException) -> Exception | None:
    """The fault if this cause alone identifies it; None if another cause may say more."""
    if isinstance(cause, Refused):
        return HostFailed(str(cause))
    if isinstance(cause, socket.gaierror):
        return PassingFault("no connection: the host's name is not known")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return HostFailed(f"its certificate is not trusted: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        reason = str(cause.reason or "refused")
        return HostFailed(f"no secure connection: {reason.lower().replace('_', ' ')}")
    if isinstance(cause, OSError):
        tunnel = _TUNNEL.search(str(cause))
        if tunnel:
            return of_status(int(tunnel[1]), "the proxy refuses: ")
    # requests raises this before it sends anything; the system's own errors have a number.
    if type(cause) is OSError and cause.errno is None and "TLS" in str(cause):
        # Its text has the path and nothing else.
        return HostFailed(f"{cause} (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE)")
    return None


def _no_answer(causes: Sequence[BaseException]) -> Exception:
    """Faults before any content: refused, cut off, an answer that is not HTTP, or unforeseen."""
    what = "no connection"
    if _any_is(causes, urllib3.exceptions.ProxyError):
        what = "no connection to the proxy"
    system_errors = []
    for cause in causes:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.strerror:
            system_errors.append(str(cause.strerror).lower())
    if system_errors:
        return PassingFault(f"{what}: {system_errors[-1]}")
    if _any_is(causes, http.client.RemoteDisconnected):
        return PassingFault(f"{what}: closed without an answer")
    if _any_is(causes, http.client.HTTPException):
        return HostFailed("its answer is not HTTP")
    if isinstance(causes[0], OSError):
        return PassingFault(what)
    return HostFailed(f"failed: {type(causes[0]).__name__}")
