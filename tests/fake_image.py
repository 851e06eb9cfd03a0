"""A container's base image in two seconds: empty but for links, its programs are this machine's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from evenground.environments.build import MARKER, folder_name
from evenground.preflight import containers

PROGRAMS = ("bin", "sbin", "lib", "lib64")
PLACES = ("proc", "sys", "dev", "tmp", "etc", "root", "home", "var/tmp", "usr")
DEFINITION = """Bootstrap: {{ bootstrap }}
From: {{ base }}

%arguments
    cuda_runtime=none
    cudnn=none
    nccl=none

%labels
    evenground.recipe {{ recipe }}
    evenground.base {{ base_id }}
    evenground.lock {{ lock }}
    evenground.python {{ python }}
    evenground.cuda {{ cuda_runtime }} {{ cudnn }} {{ nccl }}
"""


def why_no_container() -> str | None:
    """Why no container can be run here; None where it can."""
    for found in (containers.apptainer(), containers.container_start()):
        if found.state != "ok":
            return f"{found.what}: {found.seen}"
    return None


def locked_engines(root: Path) -> list[dict[str, Any]]:
    """Two fake engines with an environment, which stands in the cache of the working copy, and an image."""
    engine, lock = root / "tests/locked", root / "envs/locked.txt"
    shutil.copytree(root / "tests/fake_engine", engine)
    text = (engine / "engine.yaml").read_text().replace("[python3,", '["{python}",')
    (engine / "engine.yaml").write_text(f"{text}environment: locked\n")
    lock.write_text("# no packages\n")
    (root / "containers/locked.def").write_text(DEFINITION)
    made = root / "cache/envs" / folder_name(lock)
    (made / "bin").mkdir(parents=True)
    (made / "bin/python").symlink_to(sys.executable)
    (made / MARKER).write_text('{"packages": {}}')
    return [{"name": name, "folder": "tests/locked"} for name in ("fake_a", "fake_b")]


def fake_base(folder: Path) -> dict[str, str]:
    """Build it in `folder`; the variables that make the pipeline build on it, and bind the programs."""
    root, image = folder / "root", folder / "base.sif"
    bound = [Path("/usr"), *(Path("/", name) for name in PROGRAMS if _is_folder(Path("/", name)))]
    bound += [Path(sys.prefix), Path(sys.base_prefix)]
    for path in (*(Path("/", name) for name in PLACES), *bound):
        (root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
    for name in ("engine", "runner"):
        python = root / f"opt/evenground/{name}/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
    subprocess.run(["apptainer", "--quiet", "build", image, root], check=True, capture_output=True)
    binds = ",".join(sorted({str(path) for path in bound}))
    return {"EVENGROUND_CONTAINER_BASE": str(image), "APPTAINER_BIND": binds}


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
