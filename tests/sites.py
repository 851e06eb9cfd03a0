"""What a site or a caller sets, so that a test can see whether any of it reaches what is measured."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from working_copy import WorkingCopy

# Each as a site's module, a profile file or a caller's shell has it; {site} is a folder of theirs.
VARIABLES = {
    "LD_LIBRARY_PATH": "{site}/lib",
    "LD_PRELOAD": "{site}/lib/libsite.so",
    "PATH": "{site}/bin:{path}",
    "PYTHONPATH": "{site}/python",
    "PYTHONSTARTUP": "{site}/python/sitecustomize.py",
    "TMPDIR": "{site}/scratch",
    "LANG": "de_DE.UTF-8",
    "OMP_NUM_THREADS": "7",
    "OMP_WAIT_POLICY": "active",
    "KMP_BLOCKTIME": "0",
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.arena_max=1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "JAX_PLATFORMS": "cpu",
    "KERAS_HOME": "{site}/keras",
    "NVIDIA_TF32_OVERRIDE": "1",
    "SLURM_CPU_BIND": "quiet,mask_cpu:0x1",
    "APPTAINERENV_LD_LIBRARY_PATH": "{site}/lib",
    "APPTAINERENV_PYTHONPATH": "{site}/python",
    "APPTAINERENV_TMPDIR": "{site}/scratch",
    "APPTAINERENV_PREPEND_PATH": "{site}/bin",
    "SINGULARITYENV_LD_PRELOAD": "{site}/lib/libsite.so",
    "APPTAINER_ENV_FILE": "{site}/env",
    "APPTAINER_CONTAINLIBS": "{site}/lib/libsite.so",
    "BASH_ENV": "{site}/shell",
    "BASH_FUNC_tee%%": "() {{ echo tee >>{site}/called; }}",
    "SINGULARITY_BIND": "{site}:/site",
}
ARGUMENTS = (
    "--bind {site}",
    "--env LD_PRELOAD={site}/lib/libsite.so",
    "--env-file {site}/env",
    "--env PREPEND_PATH={site}/bin --env PYTHONPATH={site}/python",
    "--nv=false --cleanenv=false",
    "--no-home --no-eval --no-umask",
)
PROFILE = """# A site's own: nothing of ours is in it.
apptainer-args: --bind {site}
rerun-triggers: [mtime, code]
"""
# A program that stands before others on a site's PATH: who calls it is told so.
WRAPPER = '#!/bin/sh\necho "$0 $*" >>{site}/called\nexec /usr/bin/{name} "$@"\n'


def site(folder: Path) -> dict[str, str]:
    """Make a site's folder; its variables."""
    for name in ("bin", "lib", "python", "scratch", "keras", "profile"):
        (folder / name).mkdir(parents=True)
    for name in ("taskset", "env", "python3"):
        (folder / "bin" / name).write_text(WRAPPER.format(site=folder, name=name))
        (folder / "bin" / name).chmod(0o755)
    shutil.copy(library(), folder / "lib/libsite.so")
    (folder / "python/sitecustomize.py").write_text("import os\nos.environ['SITE'] = 'was here'\n")
    (folder / "keras/keras.json").write_text('{"floatx": "float16"}')
    (folder / "env").write_text("SITE_FILE=was-here\n")
    (folder / "shell").write_text("ulimit -c 0 -n 1000\n")
    (folder / "profile/config.yaml").write_text(PROFILE.format(site=folder))
    path = os.environ["PATH"]
    return {name: value.format(site=folder, path=path) for name, value in VARIABLES.items()}


def library() -> Path:
    """Some library of this machine that can be preloaded and that no engine of the tests needs."""
    folders = (
        Path("/usr/lib/x86_64-linux-gnu"),
        Path("/usr/lib/aarch64-linux-gnu"),
        Path("/usr/lib64"),
    )
    return next(path for folder in folders for path in sorted(folder.glob("libgcc_s.so.1")))


def untrained(copy: WorkingCopy) -> None:
    """Let nothing be trained yet."""
    for name in ("runs", "attempts"):
        shutil.rmtree(copy.root / "results" / name, ignore_errors=True)


def looked(copy: WorkingCopy, *arguments: str, **how: Any) -> list[dict[str, Any]]:
    """What the engines saw in an invocation, made as `how` says, that trains everything anew."""
    untrained(copy)
    let_look(copy)
    copy.call("--cores", "1", *arguments, "runs", **how)
    return read_looked(copy)


def let_look(copy: WorkingCopy) -> None:
    """Let engines write down what is around them, from now on."""
    (copy.root / "looked.jsonl").unlink(missing_ok=True)
    (copy.root / "fake_mode").write_text("look-around")


def read_looked(copy: WorkingCopy) -> list[dict[str, Any]]:
    """What they wrote down, in an order that is not that of the trainings."""
    found = [json.loads(line) for line in (copy.root / "looked.jsonl").read_text().splitlines()]
    return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))


def records(copy: WorkingCopy) -> list[dict[str, Any]]:
    """The `surroundings` of every finished run."""
    files = sorted((copy.root / "results/runs").rglob("environment.json"))
    return [json.loads(file.read_text())["surroundings"] for file in files]
