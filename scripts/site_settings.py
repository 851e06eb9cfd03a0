"""What of a site's settings reaches our environments: where packages come from and how they are reached.

All else that variables and files say to Python, pip and uv (where to install, what, for which Python) is
left out: it would make another environment than the locked one. docs/environments.md lists what is let in.
Standard library only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

SYSTEM = Path("/etc")
# How Python writes, not what it finds or computes.
HARMLESS = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
OTHER_ENVIRONMENTS = {"VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"}
OTHER_ENVIRONMENTS |= {"__PYVENV_LAUNCHER__", "DESTDIR"}

# What a shell reads and obeys before the command that it is given; functions come as `BASH_FUNC_NAME%%`.
SHELL = {"BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT"}

# Keys of pip: an index, how it is reached, and where downloads are kept.
PIP_KEYS = {"index-url", "pypi-url", "extra-index-url", "no-index", "find-links"}
PIP_KEYS |= {"trusted-host", "cert", "client-cert", "proxy", "keyring-provider"}
PIP_KEYS |= {"timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir"}
PIP_SECTIONS = ("global", "install")

# The same for uv, as in its `uv.toml`; the table [pip] there holds such keys once more.
UV_INDEX_KEYS = {"index", "index-url", "extra-index-url", "no-index", "find-links"}
UV_KEYS = UV_INDEX_KEYS | {
    "index-strategy",
    "keyring-provider",
    "allow-insecure-host",
    "native-tls",
}
UV_KEYS |= {"system-certs", "http-proxy", "https-proxy", "no-proxy", "offline"}
UV_KEYS |= {"cache-dir", "no-cache", "link-mode", "concurrent-downloads"}
UV_INDEX_VARIABLES = {"UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL"}
UV_INDEX_VARIABLES |= {"UV_FIND_LINKS", "UV_NO_INDEX"}
UV_VARIABLES = UV_INDEX_VARIABLES | {
    "UV_KEYRING_PROVIDER",
    "UV_CREDENTIALS_DIR",
    "UV_INSECURE_HOST",
}
UV_VARIABLES |= {"UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_OFFLINE"}
UV_VARIABLES |= {"UV_CACHE_DIR", "UV_NO_CACHE", "UV_LINK_MODE", "UV_CONCURRENT_DOWNLOADS"}
# UV_INDEX_STRATEGY, UV_INDEX_NAME_USERNAME and its password; time limits, retries, proxies.
UV_PREFIXES = ("UV_INDEX_", "UV_HTTP_", "UV_REQUEST_")


def steers_python(name: str) -> bool:
    """Whether the variable `name` decides what a Python finds, or how it runs."""
    return name.startswith("PYTHON") and name not in HARMLESS


def steers_shell(name: str) -> bool:
    """Whether the variable `name` decides what a shell does beside the command that it is given."""
    return name in SHELL or name.startswith("BASH_FUNC_")


def without_python(given: Mapping[str, str]) -> dict[str, str]:
    """The variables `given` for what runs in our environments."""
    return {name: value for name, value in given.items() if not steers_python(name)}


def for_tools(given: Mapping[str, str]) -> dict[str, str]:
    """The variables `given` without any that steers Python, pip or uv."""
    left = without_python(given)
    steering = {name for name in left if name.startswith(("PIP_", "UV_"))} | OTHER_ENVIRONMENTS
    return {name: value for name, value in left.items() if name not in steering}


def pip_settings(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The site's settings of pip that are let through, of files and variables; SystemExit for a broken file.

    pip itself is not asked: `user`, `python`, `quiet` and such would change its answer, too.
    """
    found: dict[tuple[str, str], str] = {}
    for path in _pip_files(given):
        parser = RawConfigParser()
        try:
            parser.read_string(path.read_text(encoding="utf-8"), str(path))
        except OSError:
            # As pip does: what cannot be read is not there.
            continue
        except (ConfigParserError, ValueError) as error:
            said = " ".join(str(error).split())
            what = f"error: pip's settings cannot be read ({path})"
            raise SystemExit(f"{what}: {said}: fix that file") from None
        for section in PIP_SECTIONS:
            if parser.has_section(section):
                found |= {(section, _pip_key(key)): value for key, value in parser.items(section)}
    # Of sections the later one decides, whichever file it stands in; above all is a variable.
    told: dict[str, str] = {}
    for wanted in PIP_SECTIONS:
        told |= {key: value for (section, key), value in found.items() if section == wanted}
    told |= {
        _pip_key(name[4:]): value
        for name, value in given.items()
        if name.startswith("PIP_") and value
    }
    return {key: value for key, value in told.items() if key in PIP_KEYS and value}


def _pip_key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _pip_files(given: Mapping[str, str]) -> Iterator[Path]:
    """The files that pip reads, the one that decides last."""
    named, home = given.get("PIP_CONFIG_FILE", ""), given.get("HOME", "")
    if named == os.devnull:
        return
    for folder in (given.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder, "pip/pip.conf")
    yield SYSTEM / "pip.conf"
    if named and Path(named).exists():
        yield Path(named)
    elif home:
        yield Path(home, ".pip/pip.conf")
        yield Path(given.get("XDG_CONFIG_HOME") or f"{home}/.config", "pip/pip.conf")


def variables_for_pip(
    settings: Mapping[str, str], given: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The whole environment of a call of pip that obeys `settings` and no file."""
    named = {f"PIP_{key.replace('-', '_').upper()}": value for key, value in settings.items()}
    # pip reads no file at all when this one is named.
    return {**for_tools(given), **named, "PIP_CONFIG_FILE": os.devnull}


def for_image(given: Mapping[str, str]) -> dict[str, str]:
    """The variables `given` for pip inside an image that is built: this machine's files are not in there."""
    names = {f"PIP_{key.replace('-', '_').upper()}" for key in PIP_KEYS}
    return {**for_tools(given), **{name: given[name] for name in names & given.keys()}}


def variables_for_uv(
    settings: Mapping[str, str], given: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The whole environment of a call of uv; of pip's `settings` what uv knows as variables only."""
    kept = {k: v for k, v in given.items() if k in UV_VARIABLES or k.startswith(UV_PREFIXES)}
    as_pip: dict[str, str] = {}
    if "proxy" in settings:
        as_pip |= {"HTTP_PROXY": settings["proxy"], "HTTPS_PROXY": settings["proxy"]}
    if "cert" in settings:
        as_pip["SSL_CERT_FILE"] = settings["cert"]
    if "client-cert" in settings:
        as_pip["SSL_CLIENT_CERT"] = settings["client-cert"]
    return {**as_pip, **for_tools(given), **kept}


def uv_file(settings: Mapping[str, str], given: Mapping[str, str] = os.environ) -> str:
    """The text of the one configuration file that uv is to read.

    Where neither uv's variables nor its files name an index, those of pip's `settings` are taken: a site that
    has a mirror for pip has it for us.
    """
    content = uv_settings(given)
    own = UV_INDEX_VARIABLES & given.keys() or UV_INDEX_KEYS & content.keys()
    lines = {**({} if own else _as_uv(settings)), **content}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in lines.items())


def uv_settings(given: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The site's settings of uv that are let through, from its files; SystemExit for a broken one."""
    import tomllib  # here, for a Python that is too old must get as far as being told so

    found: dict[str, Any] = {}
    for path in _uv_files(given):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError:
            # As pip does with its own: what cannot be read is not there.
            continue
        except ValueError as error:
            raise SystemExit(
                f"error: uv's settings cannot be read ({path}): {error}: fix that file"
            ) from None
        own = content.get("pip")
        for key, value in {**content, **(own if isinstance(own, dict) else {})}.items():
            if key in UV_KEYS:
                # As uv does: lists are joined, of all else the nearer file's value holds.
                both = isinstance(value, list) and isinstance(found.get(key, []), list)
                found[key] = [*found.get(key, []), *value] if both else found.get(key, value)
    return found


def _uv_files(given: Mapping[str, str]) -> Iterator[Path]:
    """The nearest first. Those of projects are left out: they are about what lies around the working copy."""
    if given.get("UV_NO_CONFIG", "").lower() not in {"", "0", "false"}:
        return
    if given.get("UV_CONFIG_FILE"):
        yield Path(given["UV_CONFIG_FILE"])
        return
    home = given.get("XDG_CONFIG_HOME") or (f"{given['HOME']}/.config" if given.get("HOME") else "")
    if home:
        yield Path(home, "uv/uv.toml")
    folders = (given.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    files = [Path(folder, "uv/uv.toml") for folder in (*folders, str(SYSTEM))]
    yield next((file for file in files if file.is_file()), files[-1])


def _as_uv(settings: Mapping[str, str]) -> dict[str, Any]:
    """Indexes of pip in uv's words; whichever of them has the locked file may give it, as with pip."""
    found: dict[str, Any] = {"index-strategy": "unsafe-best-match"}
    index = settings.get("index-url") or settings.get("pypi-url")
    if index:
        found["index-url"] = index
    if settings.get("extra-index-url"):
        found["extra-index-url"] = settings["extra-index-url"].split()
    if settings.get("find-links"):
        places = settings["find-links"].split()
        # uv would look for a relative one beside the file that this becomes.
        found["find-links"] = [
            place if "://" in place else str(Path(place).absolute()) for place in places
        ]
    if settings.get("trusted-host"):
        found["allow-insecure-host"] = settings["trusted-host"].split()
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        found["no-index"] = True
    return found


def _toml(value: Any) -> str:
    """A value as TOML on one line."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # What JSON writes of text, numbers, true and false is TOML as well.
    return json.dumps(value, ensure_ascii=False)
