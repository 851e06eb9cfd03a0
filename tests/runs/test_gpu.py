"""What is recorded of the card of a training, and what an engine says when the card has no memory left."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from evenground.gpus.choice import Choice, Chosen
from evenground.gpus.look import Card, Instance, Look
from evenground.records.gpus import GpuRecord
from evenground.runs.gpu import NOT_LISTED, gpu_record, loaded
from evenground.runs.machine import Machine
from evenground.runs.outcome import Outcome
from evenground.runs.training import said_by_engine

ROOT = Path("/copies/mine")
CARD = Card(
    index=2,
    name="NVIDIA H100 80GB HBM3",
    uuid="GPU-2",
    pci="00000000:65:00.0",
    memory_bytes=85 * 10**9,
    capability="9.0",
    power_limit_w=500.0,
    power_default_w=700.0,
    near_cpus=(0, 1, 2, 9),
    missing={"ecc": "NVML: nvmlDeviceGetEccMode: Not Supported", "computing": "NVML: no"},
)
SLICE = Instance(
    uuid="MIG-7",
    profile="1g.10gb",
    memory_bytes=10**10,
    free_bytes=10**10,
    computing=(),
    missing={"computing": "NVML: no"},
)


def on(chosen: Chosen | None, *others: Card) -> Machine:
    look = Look(cards=(CARD, *others), forbidden=(5,), lost={6: "GPU is lost"})
    return Machine("A CPU", 8, 2**34, "a card", "580.95.05", look, Choice(chosen))


def test_the_chosen_card_is_described_and_what_is_not_known_has_its_reason() -> None:
    record = gpu_record(on(Chosen(CARD)), "cuda", {}, ROOT)
    assert record and (record.name, record.uuid, record.mig) == (
        "NVIDIA H100 80GB HBM3",
        "GPU-2",
        None,
    )
    assert (record.power_limit_w, record.power_default_w, record.near_cpus) == (
        500.0,
        700.0,
        "0-2,9",
    )
    assert record.cards == 3, "of this user, of others, and lost ones"
    assert record.ecc is None
    assert record.missing == {"ecc": "NVML: nvmlDeviceGetEccMode: Not Supported"}
    assert TypeAdapter(GpuRecord).validate_python(asdict(record)) == record


def test_of_an_instance_its_own_memory_and_uuid_stand_there() -> None:
    card = replace(CARD, is_mig=True, instances=(SLICE,))
    record = gpu_record(on(Chosen(card, SLICE)), "cuda", {}, ROOT)
    assert record and (record.uuid, record.mig, record.memory_bytes) == ("MIG-7", "1g.10gb", 10**10)
    assert record.name == "NVIDIA H100 80GB HBM3"


def test_without_a_card_there_is_no_record() -> None:
    assert gpu_record(on(None), "cpu", {}, ROOT) is None


@pytest.mark.parametrize(("places", "reason"), [(None, NOT_LISTED), ("hidden", "hidden")])
def test_which_libraries_were_loaded_may_not_be_known(places: str | None, reason: str) -> None:
    record = gpu_record(on(Chosen(CARD)), "cuda", places, ROOT)
    assert record and record.libraries is None and record.missing["libraries"] == reason


def test_libraries_of_nvidia_are_told_with_where_they_lie() -> None:
    found = loaded(
        {
            "/envs/jax-cuda/lib/libcudnn.so.9": "environment",
            "/usr/local/cuda/lib64/libcudnn.so.9": "",
            "/envs/jax-cuda/lib/libcublasLt.so.12": "environment",
            "/usr/lib/libcuda.so.580.95.05": "system",
            "/usr/lib/libc.so.6": "system",
            "/copies/mine/site/libnccl.so.2": "",
            "/envs/x/libcudadebugger_not": "environment",
        },
        ROOT,
    )
    assert found == {
        "libcublasLt.so.12": "environment",
        "libcuda.so.580.95.05": "system",
        "libcudnn.so.9": "/usr/local/cuda/lib64 and environment",
        "libnccl.so.2": "./site",
    }


SAID = {
    "jax": "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate",
    "cuda": "failed to allocate 2.5KiB: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "torch": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
}


@pytest.mark.parametrize("engine", SAID)
def test_a_card_without_memory_left_is_a_reason_of_its_own(tmp_path: Path, engine: str) -> None:
    (tmp_path / "log").write_text(f"begin\n  {SAID[engine]}\nthe last line\n")
    outcome = said_by_engine(Outcome("crashed", "exit code 1"), tmp_path / "log")
    assert outcome.reason == "gpu-out-of-memory" and SAID[engine] in outcome.detail


def test_another_end_keeps_its_reason_and_tells_the_last_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"{SAID['cuda']}\nthe last line\n")
    killed = said_by_engine(Outcome("killed-by-signal", "signal 9"), tmp_path / "log")
    assert killed == Outcome("killed-by-signal", "signal 9; last line: the last line")
    (tmp_path / "log").write_text("no such words\n")
    crashed = said_by_engine(Outcome("crashed", "exit code 1"), tmp_path / "log")
    assert crashed == Outcome("crashed", "exit code 1; last line: no such words")
