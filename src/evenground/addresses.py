"""Addresses: which may be used, and how they are told to people: never with a password or a token."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ADDRESS = re.compile(r"\w[\w+.-]*://\S*")
_END = re.compile(r"[?#]")


def is_address(place: str) -> bool:
    """Whether a place is an address, and not a folder."""
    return "://" in place


def split(address: str) -> SplitResult | None:
    """The parts of an address; None where it is not a valid one."""
    try:
        parts = urlsplit(address)
        # Only then is the port looked at.
        return parts if parts.hostname and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def fault_of(address: str) -> str:
    """Why nothing may be downloaded from an address; empty where it may: https, or http on this machine."""
    parts = split(address)
    if parts is None:
        return "not a valid address"
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        return ""
    return f"{'plain http' if parts.scheme == 'http' else parts.scheme} is refused: give an https:// address"


def host_of(address: str) -> str:
    """Host name of an address, without its port; of an invalid one what may be shown of it."""
    parts = split(address)
    return parts.hostname if parts and parts.hostname else shown(address)


def inside(mirror: str, *names: str) -> str:
    """The address of a file in a mirror; a query, which may be a token, stays behind it."""
    parts = split(mirror)
    if parts is None:
        return mirror
    return parts._replace(path="/".join([parts.path.rstrip("/"), *names]), fragment="").geturl()


def shown(address: str) -> str:
    """An address as it may be told: without user, password, query and fragment; a folder as it is."""
    if not is_address(address):
        return address
    scheme, _, rest = address.partition("://")
    parts = split(address)
    if parts is None:
        # What is wrong may be a sign in the password: all before the last `@` could belong to it.
        return f"{scheme}://{_END.split(rest.rpartition('@')[2])[0]}"
    host = parts.netloc.rpartition("@")[2]
    return f"{scheme}://{host}{'' if '@' in parts.path else parts.path}"


def shown_in(text: str) -> str:
    """A text with every address in it as it may be told."""
    return _ADDRESS.sub(lambda found: shown(found[0]), text)


def shown_value(value: object) -> str:
    """A value as Python writes it, with its addresses as they may be told, at most 60 characters."""
    text = shown_in(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
