"""Faults of one source in the project's own words: a library's may hold a password or a token."""

from __future__ import annotations

import http.client
import socket
import ssl

import requests
import urllib3

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
# What requests, urllib3 and Python raise during a transfer; the errors of requests are OSErrors.
TRANSFER_ERRORS = (
    OSError,
    ValueError,
    OverflowError,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
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


def fault_in(
    error: BaseException, timeout_s: float, received_bytes: int | None
) -> HostFailed | PassingFault:
    """The fault that `error` means; what is not known here may pass.

    `timeout_s`: the timeout that was set; `received_bytes`: of the file, None before any content.
    """
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, Refused):
            return HostFailed(str(cause))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return HostFailed(f"its certificate is not trusted: {cause.verify_message}")
        if isinstance(cause, socket.gaierror):
            return PassingFault("no connection: the host's name is not known")
        if isinstance(cause, TimeoutError):
            return PassingFault(f"nothing came for {timeout_s:g} s")
    if received_bytes is not None:
        return PassingFault(f"broke off after {received_bytes} bytes")
    for cause in causes:
        # The system's words only: a library's may hold the address.
        if isinstance(cause, OSError) and cause.strerror:
            return PassingFault(f"no connection: {cause.strerror.lower()}")
    return PassingFault(f"failed: {type(error).__name__}")


def of_status(status: int) -> HostFailed | PassingFault:
    """The fault that an HTTP status means."""
    if status in PASSING_STATUS:
        return PassingFault(f"HTTP {status}")
    return HostFailed(f"HTTP {status}")


def _causes(error: BaseException) -> list[BaseException]:
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
    return causes
