#!/usr/bin/env python3
"""Build one locked Python environment in the cache, or say where it is. Standard library only.

An environment is a pure function of its lock: it stands at ``CACHE/envs/NAME-HASH`` where HASH
is the start of the sha256 of ``envs/NAME.txt``, so a changed lock gives a new folder, a reverted
one finds the old folder again, and working copies share what they have in common.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARKER = "evenground-complete"


def cache_dir() -> Path:
    """Folder for environments and locks: EVENGROUND_CACHE, else the user's cache folder."""
    given = os.environ.get("EVENGROUND_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(given) if given else Path(base) / "evenground"


def lock_file(name: str) -> Path:
    """The hash-locked requirements of environment `name`; SystemExit when there is none."""
    path = ROOT / "envs" / f"{name}.txt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt")))
        raise SystemExit(f"error: no environment '{name}' (envs/{name}.txt); there are: {known}")
    return path


def env_dir(name: str) -> Path:
    """Folder of environment `name`, named by the sha256 of its lock; it need not exist yet."""
    digest = hashlib.sha256(lock_file(name).read_bytes()).hexdigest()
    return cache_dir() / "envs" / f"{name}-{digest[:12]}"


def build(name: str) -> Path:
    """Make environment `name` complete and return its folder; one that is complete is kept."""
    folder = env_dir(name)
    if (folder / MARKER).is_file():
        return folder
    need_free_space(folder)
    print(f"building the environment '{name}' (once per lock) ...", file=sys.stderr, flush=True)
    if name == "uv":
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
        run(
            [
                str(folder / "bin" / "pip"),
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "-r",
                str(lock_file(name)),
            ]
        )
    else:
        uv = str(build("uv") / "bin" / "uv")
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        run(
            [
                uv,
                "pip",
                "sync",
                "--require-hashes",
                # Trainings write no byte code: without it each would compile its framework anew.
                "--compile-bytecode",
                "--python",
                str(folder / "bin" / "python"),
                str(lock_file(name)),
            ]
        )
    (folder / MARKER).write_text(lock_file(name).name + "\n")
    return folder


def need_free_space(folder: Path, at_least_bytes: int = 3 * 2**30) -> None:
    """Refuse to start a build that the disk cannot hold."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < at_least_bytes:
        raise SystemExit(
            f"error: {free / 2**30:.1f} GiB free in {folder.parent}, an environment needs "
            f"{at_least_bytes / 2**30:.0f}: make room or point EVENGROUND_CACHE elsewhere"
        )


def run(command: list[str]) -> None:
    """Run `command`; a failure ends this script with its command line and exit code."""
    clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, env=clean)
    if done.returncode:
        raise SystemExit(f"error: exit code {done.returncode} from: {' '.join(command)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build one locked environment in the cache.")
    parser.add_argument("name", help="its requirements are envs/NAME.txt")
    parser.add_argument("--where", action="store_true", help="print its folder, build nothing")
    arguments = parser.parse_args()
    print(env_dir(arguments.name) if arguments.where else build(arguments.name))


if __name__ == "__main__":
    main()
