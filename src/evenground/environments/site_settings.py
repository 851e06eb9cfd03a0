"""The site's settings that reach our environments: where packages are and how they are reached.

All other settings of Python, pip and uv, in variables and files (where to install, what, for which
Python), are ignored: they would make another environment than the locked one. docs/environments.md
lists what is let through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError

SYSTEM = Path("/etc")
# They change how Python writes, not what it finds or computes.
HARMLESS = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
# They name another environment, or another place to install to.
OTHER_ENVIRONMENTS = {"VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"}
OTHER_ENVIRONMENTS |= {"__PYVENV_LAUNCHER__", "DESTDIR"}

# Variables that a shell obeys before its command; functions come as `BASH_FUNC_NAME%%`.
SHELL = {"BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT"}

# Keys of pip: an index, how it is reached, and where downloads are kept.
PIP_KEYS = {"index-url", "pypi-url", "extra-index-url", "no-index", "find-links"}
PIP_KEYS |= {"trusted-host", "cert", "client-cert", "proxy", "keyring-provider"}
PIP_KEYS |= {"timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir"}
PIP_SECTIONS = ("global", "install")

# The same of uv, by its variables.
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
    """Whether the variable `name` decides what a shell does apart from its command."""
    return name in SHELL or name.startswith("BASH_FUNC_")


def without_python(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for what runs in our environments: without those that steer Python."""
    return {name: value for name, value in variables.items() if not steers_python(name)}


def for_tools(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that steer Python, pip or uv."""
    left = {}
    for name, value in without_python(variables).items():
        if not name.startswith(("PIP_", "UV_")) and name not in OTHER_ENVIRONMENTS:
            left[name] = value
    return left


def pip_settings(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The site's settings of pip that are let through, from files and variables.

    Raises EvengroundError for a broken file. `pip config list` is no way to get them: settings such
    as `user`, `python` and `quiet` would change its answer.
    """
    # Section -> key -> value; a later file decides.
    sections: dict[str, dict[str, str]] = {section: {} for section in PIP_SECTIONS}
    for path in _pip_files(variables):
        parser = RawConfigParser()
        try:
            parser.read_string(path.read_text(encoding="utf-8"), str(path))
        except OSError:
            # As pip does: a file that cannot be read is ignored.
            continue
        except (ConfigParserError, ValueError) as error:
            what = f"pip's settings cannot be read: {error}"
            raise EvengroundError(what, str(path), "fix that file") from None
        for name, section in sections.items():
            if parser.has_section(name):
                section.update((_pip_key(key), value) for key, value in parser.items(name))
    # A later section decides, whichever file it is in; a variable is above all.
    settings: dict[str, str] = {}
    for section in sections.values():
        settings |= section
    for name, value in variables.items():
        if name.startswith("PIP_") and value:
            settings[_pip_key(name.removeprefix("PIP_"))] = value
    return {key: value for key, value in settings.items() if key in PIP_KEYS and value}


def _pip_key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _pip_files(variables: Mapping[str, str]) -> Iterator[Path]:
    """The files that pip reads; the last one decides."""
    named, home = variables.get("PIP_CONFIG_FILE", ""), variables.get("HOME", "")
    # As pip does: this name means no file at all.
    if named == os.devnull:
        return
    for folder in (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder, "pip/pip.conf")
    yield SYSTEM / "pip.conf"
    if named and Path(named).exists():
        yield Path(named)
    elif home:
        yield Path(home, ".pip/pip.conf")
        yield Path(variables.get("XDG_CONFIG_HOME") or f"{home}/.config", "pip/pip.conf")


def _pip_variable(key: str) -> str:
    return "PIP_" + key.replace("-", "_").upper()


def variables_for_pip(
    settings: Mapping[str, str], variables: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """All variables for pip, so that it obeys `settings` and reads no file."""
    env = for_tools(variables)
    for key, value in settings.items():
        env[_pip_variable(key)] = value
    env["PIP_CONFIG_FILE"] = os.devnull
    return env


def for_image(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for pip inside an image that is built: only the caller's own `PIP_...`.

    This machine's files of settings are not there.
    """
    env = for_tools(variables)
    for name in map(_pip_variable, PIP_KEYS):
        if name in variables:
            env[name] = variables[name]
    return env


def variables_for_uv(
    settings: Mapping[str, str], variables: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """All variables for uv, with proxy and certificates of pip's `settings`."""
    env: dict[str, str] = {}
    if "proxy" in settings:
        env["HTTP_PROXY"] = env["HTTPS_PROXY"] = settings["proxy"]
    if "cert" in settings:
        env["SSL_CERT_FILE"] = settings["cert"]
    if "client-cert" in settings:
        env["SSL_CLIENT_CERT"] = settings["client-cert"]
    # The site's own variables are above pip's settings.
    env |= for_tools(variables)
    for name, value in variables.items():
        if name in UV_VARIABLES or name.startswith(UV_PREFIXES):
            env[name] = value
    return env


def uv_file(settings: Mapping[str, str], variables: Mapping[str, str] = os.environ) -> str:
    """The text of the only configuration file that uv reads.

    If uv's variables name no index, it has those of pip's `settings`: a site's mirror for pip
    serves uv, too.
    """
    if UV_INDEX_VARIABLES & variables.keys():
        return ""
    # JSON's text, lists, true and false are TOML as well.
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
        for key, value in _as_uv(settings).items()
    ]
    return "".join(lines)


def _as_uv(settings: Mapping[str, str]) -> dict[str, Any]:
    """Indexes of pip as uv's settings."""
    # As with pip, any of the indexes may provide the locked file.
    content: dict[str, Any] = {"index-strategy": "unsafe-best-match"}
    index = settings.get("index-url") or settings.get("pypi-url")
    if index:
        content["index-url"] = index
    if settings.get("extra-index-url"):
        content["extra-index-url"] = settings["extra-index-url"].split()
    if settings.get("find-links"):
        content["find-links"] = []
        for link in settings["find-links"].split():
            # uv would look for a relative path in the folder of its configuration file.
            absolute = link if "://" in link else str(Path(link).absolute())
            content["find-links"].append(absolute)
    if settings.get("trusted-host"):
        content["allow-insecure-host"] = settings["trusted-host"].split()
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        content["no-index"] = True
    return content
