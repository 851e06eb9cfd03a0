"""Addresses of downloads: which may be used, and how they are shown without their secrets."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_ADDRESS = re.compile(r"\w[\w+.-]*://\S*")
_QUERY_OR_FRAGMENT = re.compile(r"[?#]")


def is_address(place: str) -> bool:
    """Whether a place is an address, and not a folder."""
    return "://" in place


def split(address: str) -> SplitResult | None:
    """The parts of an address; None if it is not a valid one."""
    try:
        parts = urlsplit(address)
        # The port is parsed only when it is used, and may raise ValueError.
        if parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    return None


def fault_of(address: str) -> str:
    """Why nothing may be downloaded from an address; empty for https, or http on this machine."""
    parts = split(address)
    if parts is None:
        return "not a valid address"
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        return ""
    scheme = parts.scheme
    if scheme == "http":
        scheme = "plain http"
    return f"{scheme} is refused: give an https:// address"


def host_of(address: str) -> str:
    """The host name of an address; for an invalid one the part that may be shown."""
    parts = split(address)
    if parts and parts.hostname:
        return parts.hostname
    return shown(address)


def inside(mirror: str, *names: str) -> str:
    """The address of a file in a mirror, with the mirror's query, which may be a token."""
    parts = split(mirror)
    if parts is None:
        return mirror
    path = "/".join([parts.path.rstrip("/"), *names])
    return parts._replace(path=path, fragment="").geturl()


def shown(address: str) -> str:
    """An address without user, password, query and fragment; a folder as it is."""
    if not is_address(address):
        return address
    scheme, _, rest = address.partition("://")
    parts = split(address)
    if parts is None:
        # The invalid character may be in the password: everything before the last `@` may be it.
        host = _QUERY_OR_FRAGMENT.split(rest.rpartition("@")[2])[0]
        return f"{scheme}://{host}"
    host, path = parts.netloc.rpartition("@")[2], parts.path
    # A password with an unescaped `/` in it ends up in the path.
    if "@" in path:
        path = ""
    return f"{scheme}://{host}{path}"


def shown_in(text: str) -> str:
    """A text with every address in it as `shown`."""
    return _ADDRESS.sub(lambda match: shown(match[0]), text)


def shown_value(value: object) -> str:
    """A value as Python writes it, with its addresses as they may be told, at most 60 characters."""
    text = shown_in(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
