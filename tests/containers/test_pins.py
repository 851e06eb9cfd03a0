"""The pins against the locks they speak of, and a driver against the pins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evenground.containers.pins import LIBRARIES, Pins, load_pins, version_key
from evenground.errors import EvengroundError
from evenground.locks import parse_lock

ROOT = Path(__file__).resolve().parents[2]
# What the wheels of CUDA 12 call the libraries.
WHEELS = {
    "cuda_runtime": "nvidia-cuda-runtime-cu12",
    "cudnn": "nvidia-cudnn-cu12",
    "nccl": "nvidia-nccl-cu12",
}


def locked_versions(lock: str) -> dict[str, str]:
    """Package -> version, of the text of a lock."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.M))


@pytest.fixture
def pins() -> Pins:
    return load_pins(ROOT)


@pytest.fixture
def locks() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "envs").glob("*.txt")}


def test_every_cuda_lock_holds_what_is_pinned(pins: Pins, locks: dict[str, str]) -> None:
    for pinned in pins.engines.values():
        wanted = pinned.packages | {WHEELS[name]: getattr(pins, name) for name in LIBRARIES}
        locked = locked_versions(locks[pinned.lock])
        assert {package: locked.get(package) for package in wanted} == wanted, pinned.lock
    assert {pinned.lock for pinned in pins.engines.values()} == {
        n for n in locks if n.endswith("-cuda")
    }


def test_every_package_of_a_lock_has_hashes(locks: dict[str, str]) -> None:
    for name, text in locks.items():
        packages = [
            block
            for block in text.split("\n")
            if "==" in block and not block.startswith((" ", "#"))
        ]
        # Elixir's packages are no Python ones: natively the engine needs nothing from here.
        assert (packages or name == "axon") and all(b.rstrip().endswith("\\") for b in packages), (
            name
        )
        assert text.count("--hash=sha256:") >= len(packages)


def test_versions_of_a_lock_are_read_whatever_follows_them() -> None:
    lock = "jax==0.10.2 \\\n    --hash=sha256:ab\nNumPy==2.4.6 ; python_version < '3.13' \\\n# via x==9\n"
    assert parse_lock(lock) == {"jax": {"0.10.2"}, "numpy": {"2.4.6", ""}}


@pytest.mark.parametrize(
    ("older", "newer"),
    [("525.60.13", "525.105.17"), ("470.103.01", "525.60.13"), ("12.9", "12.9.1")],
)
def test_versions_compare_as_numbers(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


@pytest.mark.parametrize(
    ("card", "keras", "jax"),
    [
        ("6.1", None, None),
        ("7.0", None, None),
        ("7.5", "native", "native"),
        ("8.0", "native", "native"),
        ("8.6", "native", "native"),
        ("9.0", "ptx", "native"),
        ("10.0", "ptx", "native"),
        ("10.3", "ptx", "native"),
        ("11.0", "ptx", None),
        ("12.1", "ptx", "native"),
        ("13.0", "ptx", "ptx"),
    ],
)
def test_how_a_card_is_served_by_an_engines_locked_libraries(
    pins: Pins, card: str, keras: str | None, jax: str | None
) -> None:
    assert pins.engines["keras"].capabilities.way(card) == keras
    assert (
        pins.engines["jax"].capabilities.way(card)
        == pins.engines["axon"].capabilities.way(card)
        == jax
    )


def test_exla_finds_the_nvshmem_that_its_xla_is_linked_to(locks: dict[str, str]) -> None:
    """To nvshmem_transport_ibrc.so.3, which the wheels have up to 3.4.5; that of 3.8.0 has .so.7."""
    for name in ("axon-cuda", "jax-cuda"):
        (found,) = parse_lock(locks[name])["nvidia-nvshmem-cu12"] - {""}
        assert version_key("3.3") <= version_key(found) < version_key("3.5"), name


def test_every_way_of_an_engine_has_its_oldest_driver(pins: Pins) -> None:
    for engine in pins.engines.values():
        ways = {"native", "ptx"} if engine.capabilities.ptx else {"native"}
        assert engine.capabilities.driver.keys() == ways


def test_ptx_needs_a_newer_driver_than_code_that_is_there(pins: Pins) -> None:
    for engine in pins.engines.values():
        needed = engine.capabilities.driver
        assert needed["native"] == pins.driver.minimum
        assert version_key(needed["ptx"]) > version_key(pins.driver.minimum)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("cudnn: 9.28.0.42", "cudnn: new"), "cudnn: "),
        (('ptx: "9.0"', "ptx: 9.0"), "engines.keras.capabilities.ptx: "),
        (("digest: sha256:29", "digest: latest"), "base.digest: "),
        (("nccl:", "nickel:"), "nccl: "),
        (("base:", "base: ["), "cannot read it"),
    ],
)
def test_broken_pins_are_one_clear_line(
    change: tuple[str, str], complaint: str, tmp_path: Path
) -> None:
    text = (ROOT / "containers" / "pins.yaml").read_text(encoding="utf-8")
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / "pins.yaml").write_text(text.replace(*change))
    with pytest.raises(EvengroundError, match=r"containers/pins\.yaml") as error:
        load_pins(tmp_path)
    assert complaint in str(error.value)


def test_missing_pins_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvengroundError, match=r"No such file.*pins\.yaml"):
        load_pins(tmp_path)
