"""An engine computes where it is told to, on the one GPU that it sees, or says in one line why not."""

from __future__ import annotations

import _ctypes
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engines.support import interpreter

TWO = "sees 2 GPUs (--accelerator cuda): set CUDA_VISIBLE_DEVICES to the UUID of one, as nvidia-smi -L lists"
# A plugin of JAX's that fails as its CUDA plugin does where a library is too old.
BROKEN_PLUGIN = """
def initialize():
    try:
        raise OSError("libcudnn.so.9 cannot be opened")
    except OSError as error:
        raise RuntimeError("Unable to load cuDNN") from error
"""
# What TensorFlow 2.21 wrote with a stand-in driver, where a library was missing.
LOG = """\
I0000 00:00:1796027520.197876   25763 port.cc:153] oneDNN custom operations are on.
I0000 00:00:1796027520.183348   25763 dso_loader.cc:133] Successfully opened dynamic library libcublas.so.12
I0000 00:00:1796027520.197876   25763 dso_loader.cc:144] Could not load dynamic library 'libcudnn.so.9'
W0000 00:00:1796027520.222479   25763 gpu_device.cc:2365] Cannot dlopen some GPU libraries.
Skipping registering GPU devices...
"""


def probe(engine: str, *words: str, **variables: str) -> dict[str, str | bool]:
    """What `probe_device_ENGINE.py` found."""
    script = Path(__file__).with_name(f"probe_device_{engine}.py")
    command = [interpreter(engine), str(script), *words]
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, str | bool] = json.loads(done.stdout)
    return found


def test_jax_takes_one_gpu_and_says_why_it_has_none(tmp_path: Path) -> None:
    (tmp_path / "jax_plugins" / "broken").mkdir(parents=True)
    (tmp_path / "jax_plugins" / "broken" / "__init__.py").write_text(BROKEN_PLUGIN)
    found = probe("jax", PYTHONPATH=str(tmp_path))
    assert str(found["none"]).startswith("JAX finds no GPU: Jax plugin configuration error")
    assert "Unable to load cuDNN; libcudnn.so.9 cannot be opened" in str(found["none"])
    assert found["one"] == "cuda:Some Card"
    assert TWO in str(found["two"])
    assert found["hidden"] == ""


@pytest.mark.slow
def test_keras_takes_one_gpu_and_says_why_it_has_none(tmp_path: Path) -> None:
    libraries = tmp_path / "nvidia" / "cusolver" / "lib"
    libraries.mkdir(parents=True)
    shutil.copy(_ctypes.__file__, libraries / "libcusolver.so.11")
    script = f"#!/bin/sh\n[ $TF_CPP_MIN_LOG_LEVEL = 0 ] && cat >&2 <<'END'\n{LOG}END\n"
    (tmp_path / "log").write_text(script)
    (tmp_path / "log").chmod(0o755)
    found = probe("keras", str(tmp_path))
    assert (found["cpu"], found["hidden"], found["mapped on cpu"]) == ("cpu", "", False)
    assert str(found["without cuda"]).startswith(
        "TensorFlow finds no GPU: this TensorFlow is built without CUDA"
    )
    assert "Could not load dynamic library 'libcudnn.so.9'; Cannot dlopen some" in str(found["why"])
    assert "libcublas" not in str(found["why"]) and "oneDNN" not in str(found["why"])
    assert found["mapped"] is True
    assert found["one"] == "cuda:Some Card"
    assert TWO in str(found["two"])
