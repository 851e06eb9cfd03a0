"""The Elixir engine's core: its own tests, its formatting, and arrays to and from NumPy byte for byte."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engines.support import ROOT

CORE = ROOT / "scripts" / "engines" / "axon" / "core"
BUILT = "_build/test/lib/evenground_core/ebin"
ARRAYS: dict[str, npt.NDArray[np.uint8] | npt.NDArray[np.float32]] = {
    "images": np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3),
    "labels": np.array([0, 255, 7], np.uint8),
    "kernel": np.random.default_rng(0).normal(size=(3, 3, 3, 32)).astype(np.float32),
    "special": np.array([0.0, -0.0, 1e-45, np.inf, -np.inf, np.nan], np.float32),
    "scalar": np.array(1.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
}
COPY_ARRAYS = """
[from, to] = System.argv()
for file <- File.ls!(from) do
  array = Evenground.Npy.read!(Path.join(from, file))
  Evenground.Npy.write!(Path.join(to, file), array.type, array.shape, array.data)
  File.write!(Path.join(to, file <> ".raw"), array.data)
end
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which("mix") and shutil.which("elixir")), reason="Elixir is not installed"
)


def printed(words: list[str], folder: Path) -> str:
    """What a command prints that succeeds; mix finds nothing of the user's, and nobody to ask."""
    home = {"HOME": str(folder), "MIX_HOME": str(folder / "mix"), "HEX_HOME": str(folder / "hex")}
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **home, "MIX_ENV": "test", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled copy: nothing is built in the repository."""
    folder = tmp_path_factory.mktemp("elixir") / "core"
    shutil.copytree(CORE, folder, ignore=shutil.ignore_patterns("_build", "deps", "tmp"))
    printed(["mix", "compile", "--warnings-as-errors"], folder)
    return folder


def test_its_own_tests_pass(core: Path) -> None:
    said = printed(["mix", "test"], core)
    counted = re.search(r"^(\d+) tests, (\d+) failures", said, re.M)
    assert counted and int(counted[1]) > 0 and int(counted[2]) == 0, said
    assert "warning:" not in said
    print(counted[0])


def test_arrays_are_those_of_numpy_byte_for_byte(core: Path, tmp_path: Path) -> None:
    given, taken = tmp_path / "given", tmp_path / "taken"
    for folder in (given, taken):
        folder.mkdir()
    for name, array in ARRAYS.items():
        np.save(given / f"{name}.npy", array)
    printed(["elixir", "-pa", BUILT, "-e", COPY_ARRAYS, str(given), str(taken)], core)
    for name, array in ARRAYS.items():
        assert (taken / f"{name}.npy.raw").read_bytes() == array.tobytes(), name
        assert (taken / f"{name}.npy").read_bytes() == (given / f"{name}.npy").read_bytes(), name
        back = np.load(taken / f"{name}.npy", allow_pickle=False)
        assert back.dtype == array.dtype and back.shape == array.shape
        assert back.tobytes() == array.tobytes()


def test_arrays_of_format_version_2_are_read(core: Path, tmp_path: Path) -> None:
    given, taken = tmp_path / "given", tmp_path / "taken"
    for folder in (given, taken):
        folder.mkdir()
    with (given / "images.npy").open("wb") as file:
        np.lib.format.write_array(file, ARRAYS["images"], version=(2, 0))
    printed(["elixir", "-pa", BUILT, "-e", COPY_ARRAYS, str(given), str(taken)], core)
    np.testing.assert_array_equal(np.load(taken / "images.npy"), ARRAYS["images"])


def test_it_is_formatted(core: Path) -> None:
    printed(["mix", "format", "--check-formatted"], core)
