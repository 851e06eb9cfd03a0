"""What is said of a GPU before anything is trained on it: one line for each thing that is not plain."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenground.containers.pins import Pins, load_pins
from evenground.errors import EvengroundError
from evenground.gpus.look import Look
from evenground.preflight import gate as gating
from evenground.preflight import gpu
from evenground.preflight.finding import Finding
from evenground.preflight.gate import gate
from evenground.preflight.gpu import context, findings, on_gpu, trained
from evenground.preflight.gpu_card import System
from evenground.runs.plan import Plan
from evenground.sidecar.nvml import OnCard
from made_gpus import (
    CARD,
    DRIVER,
    GIB,
    INSTANCE,
    MIG,
    NO_SYSTEM,
    OTHER,
    PLAIN,
    UUID,
    Planned,
    finish,
    looking,
    planned,
    plans_of,
    process,
)
from working_copy import ROOT, fresh_copy

__all__ = ["planned"]
PINS = load_pins(ROOT)
MIB = 2**20
NOT_SUPPORTED = "NVML: nvmlDeviceGetMemoryInfo: Not Supported"
LOST = "NVML: nvmlDeviceGetName: GPU is lost"


def said(
    plans: list[Plan],
    system: System = NO_SYSTEM,
    environ: Mapping[str, str] | None = None,
    pins: Pins = PINS,
) -> dict[str, Finding]:
    found = findings(plans, pins, system=system, environ=environ or {})
    assert len({one.what for one in found}) == len(found)
    return {one.what: one for one in found}


def test_of_a_plain_card_only_what_it_is_is_said(planned: Planned) -> None:
    found = said(planned(PLAIN))
    assert list(found) == ["GPU", "driver"] and {one.state for one in found.values()} == {"ok"}
    assert found["GPU"].seen == (
        f"NVIDIA Made 1000, card 0 of 1, {UUID}, 7.0 GiB of 8.0 GiB free, compute capability 8.6, ECC off, "
        "near CPU 0-3"
    )
    assert found["driver"].seen == DRIVER


@pytest.mark.parametrize(
    ("change", "what", "state", "seen", "fix", "flags"),
    [
        ({"free_bytes": GIB}, "GPU memory", "error", "1.0 GiB free", "2.0 GiB are needed", False),
        (
            {"computing": (OnCard(7, (0, 0), 300 * MIB), OnCard(8, (0, 0), 200 * MIB))},
            "GPU use",
            "warning",
            "2 processes compute on it, with 500 MiB: process 7, process 8",
            "runs are flagged",
            True,
        ),
        (
            {"computing": tuple(OnCard(pid, (0, 0), None) for pid in range(1, 6))},
            "GPU use",
            "warning",
            "5 processes compute on it, with an unknown amount of memory: process 1, process 2, process 3",
            "end them",
            True,
        ),
        (
            {"drawing": (OnCard(9, (0, 0), MIB),)},
            "GPU desktop",
            "warning",
            "1 processes draw on it (process 9)",
            "runs are flagged",
            True,
        ),
        (
            {"display": True},
            "GPU desktop",
            "warning",
            "it drives a screen",
            "end the desktop",
            True,
        ),
        ({"persistence": False}, "GPU persistence", "warning", "off: ", "nvidia-smi -pm 1", False),
        (
            {"compute_mode": "prohibited"},
            "GPU compute mode",
            "error",
            "prohibited",
            "-c DEFAULT",
            False,
        ),
        (
            {"compute_mode": "exclusive process"},
            "GPU compute mode",
            "ok",
            "exclusive process: a training, or a calibration, has it alone",
            "",
            False,
        ),
        (
            {"power_limit_w": 150.0},
            "GPU power limit",
            "warning",
            "150 W, of 200 W by default",
            "nvidia-smi -i 0 -pl 200",
            False,
        ),
        (
            {"name": r"\xf8\x10Garbage"},
            "GPU name",
            "warning",
            r"not text: \xf8\x10Garbage",
            "nvidia-smi",
            False,
        ),
        (
            {"memory_bytes": None, "free_bytes": None, "missing": {"memory_bytes": NOT_SUPPORTED}},
            "GPU values",
            "ok",
            f"not known: memory_bytes: {NOT_SUPPORTED}",
            "",
            False,
        ),
        (
            {"computing": None, "drawing": None, "missing": {"computing": "NVML: Unknown Error"}},
            "GPU values",
            "warning",
            "not known: computing: NVML: Unknown Error",
            "nvidia-smi -q",
            False,
        ),
        (
            {"capability": None, "missing": {"capability": "NVML: Not Supported"}},
            "GPU for jax",
            "warning",
            "it is not known whether its libraries run on the card: NVML: Not Supported",
            "see that",
            False,
        ),
    ],
)
def test_what_is_not_plain_about_the_chosen_card(
    planned: Planned,
    change: dict[str, Any],
    what: str,
    state: str,
    seen: str,
    fix: str,
    flags: bool,
) -> None:
    found = said(planned(looking(**change)))
    one = found.pop(what)
    assert (one.state, one.flags_runs) == (state, flags)
    assert seen in one.seen and fix in one.fix
    assert found.keys() <= {"GPU", "driver", "GPU values"}, "nothing else is said of it"


@pytest.mark.parametrize(
    "change",
    [
        {"power_limit_w": 199.0},
        {"power_limit_w": None},
        {"free_bytes": 2 * GIB},
        {"compute_mode": None},
    ],
)
def test_what_is_near_enough_or_not_known_is_not_said(
    planned: Planned, change: dict[str, Any]
) -> None:
    assert list(said(planned(looking(**change)))) == ["GPU", "driver"]


def test_where_a_desktop_keeps_the_driver_at_work_persistence_does_not_count(
    planned: Planned,
) -> None:
    assert "GPU persistence" not in said(planned(looking(persistence=False, display=True)))


def test_processes_are_named(planned: Planned, tmp_path: Path) -> None:
    process(tmp_path, 7, "python3\x1b")
    plans = planned(looking(computing=(OnCard(7, (0, 0), MIB),)))
    assert said(plans, replace(NO_SYSTEM, proc=tmp_path))["GPU use"].seen.endswith(
        "1 MiB: python3 7"
    )


def test_a_server_that_shares_the_card_is_no_training_of_another(
    planned: Planned, tmp_path: Path
) -> None:
    process(tmp_path, 7, "nvidia-cuda-mps-server")
    plans = planned(looking(computing=(OnCard(7, (0, 0), MIB),)))
    found = said(plans, replace(NO_SYSTEM, proc=tmp_path))
    assert "GPU use" not in found and found["MPS"].seen == "its server is running"
    assert found["MPS"].flags_runs and found["MPS"].state == "warning"
    told = said(planned(PLAIN), environ={"CUDA_MPS_PIPE_DIRECTORY": "/run/mps"})
    assert told["MPS"].seen == "CUDA_MPS_PIPE_DIRECTORY is set" and "MPS" not in said(
        planned(PLAIN)
    )


def test_an_instance_is_named_and_its_neighbours_are_seen(planned: Planned) -> None:
    busy = replace(INSTANCE, uuid=OTHER, free_bytes=0, computing=(OnCard(5, (2, 0), MIB),))
    cut = looking(is_mig=True, instances=(busy, INSTANCE))
    found = said(planned(cut))
    assert (
        f"NVIDIA Made 1000 MIG 1g.10gb, card 0 of 1, {MIG}, 9.0 GiB of 10.0 GiB free"
        in found["GPU"].seen
    )
    assert (
        found["GPU neighbours"].seen
        == "other processes compute on 1 other MIG instances of the card"
    )
    assert "GPU use" not in found


def test_other_cards_are_named_where_they_are_not_plain(planned: Planned) -> None:
    other = replace(CARD, index=3, uuid=None, missing={"uuid": LOST, "ecc": NOT_SUPPORTED})
    unsupported = replace(CARD, index=4, uuid=OTHER, free_bytes=0, missing={"ecc": NOT_SUPPORTED})
    look = Look((CARD, other, unsupported), DRIVER, None, (1, 2), {5: LOST})
    found = said(planned(look))
    assert f"card 0 of 6, {UUID}" in found["GPU"].seen
    assert (found["GPU 1, 2"].state, found["GPU 1, 2"].fix) == ("ok", "")
    assert "may not use it" in found["GPU 1, 2"].seen
    assert found["GPU 5"].seen == LOST and found["GPU 5"].state == "warning"
    assert not {"GPU 3", "GPU 4"} & found.keys()


@pytest.mark.parametrize(
    ("look", "given", "why"),
    [
        (
            Look(driver=DRIVER, fault="NVML: nvmlInit: Driver/library version mismatch"),
            {},
            "version mismatch",
        ),
        (
            Look((), DRIVER, None, (0, 1)),
            {},
            "card 0, 1: this user, or this job of a scheduler, may not",
        ),
        (Look((), DRIVER, None, (), {0: LOST}), {}, f"card 0: {LOST}"),
        (
            Look((CARD, CARD), DRIVER),
            {"CUDA_VISIBLE_DEVICES": "0,1"},
            "names 2 cards, and one training is",
        ),
        (PLAIN, {"CUDA_VISIBLE_DEVICES": OTHER}, "there is no such card"),
    ],
)
@pytest.mark.parametrize("accelerator", ["auto", "cuda"])
def test_a_card_that_cannot_be_had_is_a_lack_and_not_none(
    planned: Planned, look: Look, given: dict[str, str], why: str, accelerator: str
) -> None:
    plans = planned(look, given, accelerator=accelerator)
    one = said(plans)["GPU"]
    assert one.state == "error" and why in one.seen and one.fix
    with pytest.raises(EvengroundError, match=rf"^GPU: .*\(accelerator: {accelerator}\): "):
        gating.refuse_gpu(plans, starts=False)
    of_cpu = said(planned(look, given, accelerator="cpu"))["GPU"]
    assert of_cpu.state == "warning" and of_cpu.seen.endswith("; not used (accelerator: cpu)")


def test_a_machine_without_a_card_but_with_the_drivers_packages_trains(
    planned: Planned, tmp_path: Path
) -> None:
    """As a login node: nothing there is a card's."""
    look = Look(fault="NVML: nvmlInit: Driver Not Loaded")
    one = said(planned(look))["GPU"]
    assert one.state == "warning" and "Driver Not Loaded" in one.seen
    assert one.seen.endswith("engines compute on the processor") and "modprobe" in one.fix
    assert said(planned(look, accelerator="cuda"))["GPU"].state == "error"
    device(tmp_path, "0x10de", "0x030200")
    with_card = said(planned(look), replace(NO_SYSTEM, devices=tmp_path))["GPU"]
    assert with_card.state == "error" and with_card.seen == look.fault


def test_an_engine_that_only_computes_on_the_processor_needs_no_card(planned: Planned) -> None:
    root = planned(PLAIN)[0].root
    folder = shutil.copytree(root / "tests/fake_engine", root / "tests/on_cpu", dirs_exist_ok=True)
    text = (folder / "engine.yaml").read_text()
    (folder / "engine.yaml").write_text(f"{text}processor_only: {{speed: [1]}}\n")
    on_cpu = {"name": "on_cpu", "folder": "tests/on_cpu"}
    look = Look(driver=DRIVER, fault="NVML: GPU is lost")
    one = said(planned(look, engines=[on_cpu]))["GPU"]
    assert (one.state, one.seen) == (
        "warning",
        "NVML: GPU is lost; not used: no engine here can use one",
    )
    assert not trained(planned(look, engines=[on_cpu]))
    assert said(planned(look, engines=[on_cpu, "jax"]))["GPU"].state == "error"
    assert [engine.name for _, engine in on_gpu(planned(PLAIN, engines=[on_cpu, "jax"]))] == ["jax"]


@pytest.mark.parametrize(
    ("accelerator", "state", "seen"),
    [
        ("auto", "ok", "none: engines compute on the processor"),
        ("cpu", "ok", "none; not used (accelerator: cpu)"),
        ("cuda", "error", "none"),
    ],
)
def test_a_machine_without_any_card(
    planned: Planned, accelerator: str, state: str, seen: str
) -> None:
    one = said(planned(Look(), accelerator=accelerator))["GPU"]
    assert (one.state, one.seen) == (state, seen)


def test_who_hides_the_card_is_named(planned: Planned) -> None:
    given = {"CUDA_VISIBLE_DEVICES": "-1"}
    one = said(planned(PLAIN, given), environ=given)["GPU"]
    assert (one.state, one.seen) == (
        "ok",
        "none: CUDA_VISIBLE_DEVICES=-1 hides all: engines compute on the processor",
    )
    assert said(planned(PLAIN, given, accelerator="cuda"), environ=given)["GPU"].fix == (
        "unset CUDA_VISIBLE_DEVICES"
    )


def test_a_card_that_is_not_used_is_said_and_not_looked_at(planned: Planned) -> None:
    found = said(planned(looking(compute_mode="prohibited"), accelerator="cpu"))
    assert list(found) == ["GPU"] and found["GPU"].state == "ok"
    assert found["GPU"].seen.endswith("; not used (accelerator: cpu)")


def device(devices: Path, vendor: str, kind: str) -> None:
    folder = devices / "0000:01:00.0"
    folder.mkdir(exist_ok=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")


@pytest.mark.parametrize(
    ("vendor", "kind", "is_card"),
    [
        ("0x10de", "0x030000", True),
        ("0x10de", "0x030200", True),
        ("0x10de", "0x040300", False),
        ("0x8086", "0x030000", False),
    ],
)
def test_a_card_on_the_bus_without_a_driver(
    planned: Planned, vendor: str, kind: str, is_card: bool, tmp_path: Path
) -> None:
    device(tmp_path, vendor, kind)
    system = replace(NO_SYSTEM, devices=tmp_path)
    one = said(planned(Look()), system)["GPU"]
    assert one.state == ("warning" if is_card else "ok")
    if is_card:
        assert "0000:01:00.0 is on the bus, but no driver of NVIDIA's is loaded" in one.seen
        assert f"install NVIDIA's driver {PINS.driver.minimum} or newer" in one.fix
    assert said(planned(Look(), accelerator="cuda"), system)["GPU"].state == "error"
    assert said(planned(Look(), accelerator="cpu"), system)["GPU"].state == "ok"


def test_a_kernel_module_without_the_drivers_library(planned: Planned, tmp_path: Path) -> None:
    version = tmp_path / "driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun\n")
    one = said(planned(Look()), replace(NO_SYSTEM, proc=tmp_path))["GPU"]
    assert one.state == "warning" and "kernel module 535.183.01 is loaded" in one.seen
    assert "libnvidia-ml.so.1" in one.seen and "--gpus all" in one.fix


@pytest.mark.parametrize(
    ("version", "state"), [("470.103.01", "error"), ("525.60.13", "ok"), (None, "warning")]
)
def test_the_driver_against_pins(version: str | None, state: str) -> None:
    assert gpu.driver(version, PINS).state == state


@pytest.mark.parametrize(
    ("engine", "capability", "version", "state", "seen"),
    [
        ("jax", "8.6", "525.60.13", None, ""),
        ("jax", "9.0", "525.60.13", None, ""),
        ("keras", "8.9", "525.60.13", None, ""),
        ("keras", "9.0", "580.95.05", "warning", "the driver compiles it at first use"),
        ("keras", "12.0", "580.95.05", "warning", "the driver compiles it at first use"),
        (
            "keras",
            "9.0",
            "535.183.01",
            "error",
            "driver 535.183.01 is too old for its libraries on NVIDIA",
        ),
        (
            "keras",
            "6.1",
            "580.95.05",
            "error",
            "they run on 7.5, 8.0 and later, and by PTX from 9.0 on",
        ),
        (
            "jax",
            "7.0",
            "580.95.05",
            "error",
            "do not run on NVIDIA Made 1000 (compute capability 7.0)",
        ),
    ],
)
def test_cards_against_what_the_engines_libraries_serve(
    planned: Planned, engine: str, capability: str, version: str, state: str | None, seen: str
) -> None:
    look = replace(looking(capability=capability), driver=version)
    one = said(planned(look, engines=[engine])).get(f"GPU for {engine}")
    assert (one.state if one else None) == state
    if one:
        assert seen in one.seen and one.fix
        assert f"GPU for {engine}" not in said(planned(look, engines=[engine], accelerator="cpu"))
    if state == "error":
        with pytest.raises(EvengroundError, match=rf"^GPU for {engine}: "):
            gating.refuse_gpu(planned(look, engines=[engine]), starts=False)


def test_what_is_compiled_is_kept_where_it_is_said(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = looking(capability="9.0")
    monkeypatch.setattr(gpu, "kernel_folder", lambda: Path("/tmp/kept"))
    assert said(planned(look, engines=["keras"]))["GPU for keras"].fix.endswith(
        "then it is kept in /tmp/kept"
    )
    monkeypatch.setattr(gpu, "kernel_folder", lambda: None)
    assert said(planned(look, engines=["keras"]))["GPU for keras"].fix.startswith(
        "each warm-up waits"
    )


def test_the_gate_refuses_an_old_driver_only_where_an_engine_computes_on_the_gpu(
    planned: Planned,
) -> None:
    old = replace(PLAIN, driver="470.103.01")
    with pytest.raises(
        EvengroundError, match=r"^driver: 470\.103\.01 is too old .*525\.60\.13 or newer"
    ):
        gate(planned(old), [], starts=False)
    gate(planned(old, accelerator="cpu"), [], starts=False)
    gate(planned(PLAIN), [], starts=False)


def test_the_gate_says_what_is_odd_and_goes_on(
    planned: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    gate(planned(looking(persistence=False)), [], starts=False)
    assert " warning: GPU persistence: off: " in capsys.readouterr().err
    gate(planned(looking(persistence=False), accelerator="cpu"), [], starts=False)
    assert capsys.readouterr().err == ""


def test_the_gate_tries_cuda_only_in_a_call_that_runs_jobs(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Finding("CUDA", "error", "cuInit: CUDA_ERROR_UNKNOWN", "fix it")
    monkeypatch.setattr(gating, "context", lambda plans: [broken])
    with pytest.raises(
        EvengroundError, match=r"^CUDA: cuInit: CUDA_ERROR_UNKNOWN \(accelerator: auto\): fix"
    ):
        gate(planned(PLAIN), [])
    gate(planned(PLAIN), [], starts=False)
    gate(planned(PLAIN), [], refuse=False)
    gate(planned(PLAIN, accelerator="cpu"), [])


def test_recorded_runs_can_be_drawn_without_the_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = fresh_copy(tmp_path / "copy")
    full = looking(free_bytes=0, compute_mode="prohibited")
    engines = copy.settings["engines"]
    (plan,) = plans_of(copy, full, None, engines=engines)
    assert trained([plan]) and said([plan])["GPU memory"].state == "error"
    finish(plan)
    (plan,) = plans_of(copy, full, None, engines=engines)
    found = said([plan])
    assert not trained([plan]) and {one.state for one in found.values()} == {"ok", "warning"}
    monkeypatch.setattr(gating, "check_runs", lambda plans: None)
    gate([plan], [])
    assert capsys.readouterr().err == "" and context([plan]) == []


def test_of_a_clusters_nodes_nothing_is_known_here(planned: Planned) -> None:
    nodes = {"nodes": {"big": {}}}
    here = planned(PLAIN)
    (plan,) = here
    of_nodes = [replace(plan, experiment=plan.experiment.model_copy(update=nodes))]
    assert on_gpu(here) and not on_gpu(of_nodes)
    assert said(of_nodes)["GPU"].seen.endswith("; not used: trainings are on a cluster's nodes")
