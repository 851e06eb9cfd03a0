"""Stand-in libnvidia-ml.so.1 and libcuda.so.1, made here, and the file that says what they answer.

A test folder has the fixtures by importing them in its `conftest.py`. Lines of the file are `KEY VALUE`; the
keys stand in `sidecar/fake_nvml.c` and `sidecar/fake_cuda.c`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).resolve().parent / "sidecar"
LIBRARIES = {"libnvidia-ml.so.1": "fake_driver.c", "libcuda.so.1": "fake_cuda.c"}
STRICT = ("-Wall", "-Wextra", "-Werror")


def uuid(card: int, instance: int | None = None) -> str:
    """The UUID that the stand-in gives a card, or an instance of it, unless its file says another."""
    number = card if instance is None else 8 + 7 * card + instance
    kind = "GPU" if instance is None else "MIG"
    return f"{kind}-{0x8F0C3A51 + 0x11000000 * card & 0xFFFFFFFF:08x}-4d2e-5b17-9a64-c08e71d3f2{number:02x}"


class StandIn:
    """The built libraries and one file of answers."""

    def __init__(self, libraries: Path, file: Path) -> None:
        self.libraries = libraries
        """Folder for LD_LIBRARY_PATH."""
        self.file = file
        """FAKE_NVML_FILE."""

    def env(self, mood: str = "") -> dict[str, str]:
        """What a process needs in its environment to meet this driver."""
        return {
            "LD_LIBRARY_PATH": str(self.libraries),
            "FAKE_NVML": mood,
            "FAKE_NVML_FILE": str(self.file),
        }

    def answers(self, text: str | bytes) -> None:
        """Replace the file in one step: a call under way meets the old one or the new one."""
        part = self.file.with_name(self.file.name + ".part")
        part.write_bytes(text.encode() if isinstance(text, str) else text)
        part.replace(self.file)


@pytest.fixture(scope="session")
def stand_in_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds the stand-in libnvidia-ml.so.1 and libcuda.so.1, for LD_LIBRARY_PATH."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    if importlib.util.find_spec("pynvml") is None:
        pytest.skip("nvidia-ml-py is not installed")
    return build(tmp_path_factory.mktemp("driver"), compiler)


def build(folder: Path, compiler: str = "cc", *more: str) -> Path:
    """Build both libraries in `folder`, with `more` words for the compiler."""
    for library, source in LIBRARIES.items():
        words = [compiler, *STRICT, *more, "-shared", "-fPIC", "-o", str(folder / library)]
        subprocess.run([*words, str(SOURCES / source)], check=True)
    return folder


@pytest.fixture
def stand_in(stand_in_libraries: Path, tmp_path: Path) -> StandIn:
    """A driver of two cards; `answers` makes others of them."""
    made = StandIn(stand_in_libraries, tmp_path / "driver.txt")
    made.answers("")
    return made


@pytest.fixture
def nvml_here(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `pynvml` in this very process, on the stand-in driver; nobody else finds the library."""
    import pynvml

    monkeypatch.setenv("FAKE_NVML_FILE", str(stand_in.file))
    monkeypatch.setenv("FAKE_NVML", "")
    monkeypatch.setattr(
        pynvml, "nvmlLib", ctypes.CDLL(str(stand_in.libraries / "libnvidia-ml.so.1"))
    )
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return pynvml


@pytest.fixture
def cuda_here(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in libcuda in this process; `cuInit` settles what it sees, and may be called again."""
    monkeypatch.setenv("FAKE_NVML_FILE", str(stand_in.file))
    monkeypatch.setenv("FAKE_NVML", "")
    return ctypes.CDLL(str(stand_in.libraries / "libcuda.so.1"))
