"""CUDA is tried in a process of its own: one card, a context, memory; else why not, within its time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evenground.preflight import card, gpu, trial
from evenground.preflight.card import try_cuda
from evenground.preflight.finding import Finding
from evenground.preflight.gpu import context
from evenground.preflight.trial import (
    FIX_DRIVER,
    FIXES,
    MAKE_DEVICES,
    Trial,
    digits_of,
    fault_of,
    try_card,
)
from made_gpus import OTHER, PLAIN, UUID, Planned, planned
from stand_in_driver import StandIn, uuid

__all__ = ["planned"]
WORKS = Trial(devices=1, digits=digits_of(UUID))


@pytest.fixture
def env(stand_in: StandIn) -> dict[str, str]:
    """Of a process that sees the first of the stand-in's two cards."""
    return {**stand_in.env(), "CUDA_VISIBLE_DEVICES": uuid(0)}


def test_a_card_that_works(env: dict[str, str], stand_in: StandIn) -> None:
    found = try_card(uuid(0), env)
    assert (found.error, found.devices, found.digits) == ("", 1, digits_of(uuid(0)))
    assert fault_of(found, uuid(0)) is None
    assert not stand_in.file.with_name("driver.txt.cuda").exists(), "all is given back"


def test_a_mig_instance_that_works(env: dict[str, str], stand_in: StandIn) -> None:
    stand_in.answers("mig.0 1\n")
    found = try_card(uuid(0, 2), env | {"CUDA_VISIBLE_DEVICES": uuid(0, 2)})
    assert fault_of(found, uuid(0, 2)) is None and found.digits == digits_of(uuid(0, 2))


def test_several_cards_are_not_one(env: dict[str, str]) -> None:
    del env["CUDA_VISIBLE_DEVICES"]
    fault = fault_of(try_card(uuid(0), env), uuid(0))
    assert fault and fault.seen == f"CUDA sees 2 cards with CUDA_VISIBLE_DEVICES={uuid(0)}"


def test_another_card_gets_no_context(env: dict[str, str], stand_in: StandIn) -> None:
    stand_in.answers("cuda-fail.CtxCreate_v2 999\n")
    fault = fault_of(try_card(uuid(1), env), uuid(1))
    assert fault and fault.seen == f"CUDA sees another card: {digits_of(uuid(0))}, not {uuid(1)}"


def test_none_that_is_visible(env: dict[str, str]) -> None:
    found = try_card(uuid(0), env | {"CUDA_VISIBLE_DEVICES": OTHER[:-1]})
    assert (found.called, found.error) == ("cuInit", "CUDA_ERROR_NO_DEVICE")


@pytest.mark.parametrize(
    "call",
    [
        "Init",
        "DeviceGetCount",
        "DeviceGet",
        "DeviceGetUuid_v2",
        "CtxCreate_v2",
        "MemAlloc_v2",
        "MemcpyHtoD_v2",
        "MemcpyDtoH_v2",
        "MemFree_v2",
        "CtxDestroy_v2",
    ],
)
@pytest.mark.parametrize(
    ("code", "error"),
    [(999, "CUDA_ERROR_UNKNOWN"), (2, "CUDA_ERROR_OUT_OF_MEMORY"), (46, "CUDA error 46")],
)
def test_each_call_that_fails_is_named_with_its_error(
    cuda_here: Any, stand_in: StandIn, call: str, code: int, error: str
) -> None:
    stand_in.answers(f"cards 1\ncuda-fail.{call} {code}\n")
    found = try_cuda(digits_of(uuid(0)), str(stand_in.libraries / "libcuda.so.1"))
    assert (found["called"], found["error"]) == (f"cu{call}", error)


def test_a_process_that_fails_is_read(env: dict[str, str], stand_in: StandIn) -> None:
    stand_in.answers("cuda-fail.MemAlloc_v2 2\n")
    found = try_card(uuid(0), env)
    assert (found.called, found.error) == ("cuMemAlloc_v2", "CUDA_ERROR_OUT_OF_MEMORY")


def test_what_is_read_must_be_what_was_written(cuda_here: Any, stand_in: StandIn) -> None:
    class Forgetful:
        def __getattr__(self, name: str) -> Any:
            if name == "cuMemcpyDtoH_v2":
                return lambda to, memory, size: 0
            return getattr(cuda_here, name)

    stand_in.answers("cards 1\n")
    cuda = Forgetful()
    device = card.see(cuda, {})
    assert device is not None
    with pytest.raises(card.CallError, match="what was read is not what was written"):
        card.use(cuda, device)


def test_without_the_library(env: dict[str, str], tmp_path: Path) -> None:
    found = try_cuda("", str(tmp_path / "libcuda.so.1"))
    assert "called" not in found and "libcuda.so.1" in found["error"]
    fault = fault_of(Trial(**found), UUID)
    assert fault and fault.is_of_library and "install NVIDIA's driver" in fault.fix


@pytest.mark.parametrize(
    ("text", "called", "error"),
    [
        (
            "import time; print('cuInit', flush=True); time.sleep(60)",
            "cuInit",
            "no answer for 0.5 s",
        ),
        (
            "import os; print('cuCtxCreate_v2', flush=True); os.kill(os.getpid(), 11)",
            "cuCtxCreate_v2",
            "-11",
        ),
        ("raise SystemExit(3)", "", "its process ended with 3"),
    ],
)
def test_one_that_hangs_or_dies_is_named_and_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, called: str, error: str
) -> None:
    program = tmp_path / "card.py"
    program.write_text(text)
    monkeypatch.setattr(trial, "PROGRAM", program)
    found = try_card(UUID, {}, 0.5)
    assert found.called == called and found.error.endswith(error)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(program) not in listed


@pytest.mark.parametrize(
    ("found", "seen", "fix"),
    [
        (
            Trial("cuInit", "CUDA_ERROR_UNKNOWN", has_devices=False),
            "cuInit: CUDA_ERROR_UNKNOWN, and /dev/nvidia-uvm is missing",
            MAKE_DEVICES,
        ),
        (Trial("cuInit", "CUDA_ERROR_UNKNOWN"), "cuInit: CUDA_ERROR_UNKNOWN", FIX_DRIVER),
        (
            Trial("cuInit", "CUDA_ERROR_SYSTEM_NOT_READY"),
            "cuInit: CUDA_ERROR_SYSTEM_NOT_READY",
            "as root: systemctl start nvidia-fabricmanager",
        ),
        (
            Trial("cuCtxCreate_v2", "CUDA_ERROR_DEVICE_UNAVAILABLE", 1),
            "cuCtxCreate_v2: CUDA_ERROR_DEVICE_UNAVAILABLE",
            FIXES["CUDA_ERROR_DEVICE_UNAVAILABLE"],
        ),
        (Trial("cuInit", "no answer for 30 s"), "cuInit: no answer for 30 s", FIX_DRIVER),
    ],
)
def test_each_error_has_the_mend_that_mends(found: Trial, seen: str, fix: str) -> None:
    fault = fault_of(found, UUID)
    assert fault and (fault.seen, fault.fix) == (seen, fix)


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        (UUID, "8f0c3a514d2e5b179a64c08e71d3f200"),
        (UUID.upper().replace("GPU", "MIG"), "8f0c3a514d2e5b179a64c08e71d3f200"),
    ],
)
def test_the_digits_of_a_uuid(name: str, digits: str) -> None:
    assert digits_of(name) == digits


def test_a_context_is_made_only_where_something_is_trained_on_the_card(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def answer(uuid: str, env: dict[str, str]) -> Trial:
        asked.append((uuid, env))
        return WORKS

    monkeypatch.setattr(gpu, "try_card", answer)
    works = Finding("CUDA", "ok", "a context on the card, and a MiB written and read there")
    assert context(planned(PLAIN)) == [works]
    ((wanted, env),) = asked
    assert wanted == UUID == env["CUDA_VISIBLE_DEVICES"] and env["PATH"].endswith("/sbin:/bin")
    assert "HOME" not in env
    assert context(planned(PLAIN, accelerator="cpu")) == []
    assert context(planned(PLAIN, {"CUDA_VISIBLE_DEVICES": ""})) == [] and len(asked) == 1


def test_what_does_not_work_is_a_lack(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Trial("cuInit", "CUDA_ERROR_NO_DEVICE")
    monkeypatch.setattr(gpu, "try_card", lambda uuid, env: broken)
    (found,) = context(planned(PLAIN))
    assert found.state == "error" and found.seen == "cuInit: CUDA_ERROR_NO_DEVICE"
    assert found.fix.endswith("or set accelerator: cpu")


def test_the_program_stands_alone() -> None:
    words = [sys.executable, "-I", "-S", str(trial.PROGRAM), ""]
    done = subprocess.run(words, env={}, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("{")
