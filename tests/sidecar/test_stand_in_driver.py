"""The stand-in driver does as it is told: what other tests rest on."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from typing import Any

import pytest

from stand_in_driver import StandIn, uuid

REAL_UUID = re.compile(r"(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def handles(nvml: Any) -> list[Any]:
    """Of all cards."""
    nvml.nvmlInit()
    return [nvml.nvmlDeviceGetHandleByIndex(k) for k in range(nvml.nvmlDeviceGetCount())]


def test_two_cards_unless_told_otherwise_and_at_most_eight(
    stand_in: StandIn, nvml_here: Any
) -> None:
    assert len(handles(nvml_here)) == 2
    stand_in.answers("cards 8\n")
    uuids = [nvml_here.nvmlDeviceGetUUID(handle) for handle in handles(nvml_here)]
    assert uuids == [uuid(card) for card in range(8)] and len(set(uuids)) == 8
    assert all(REAL_UUID.fullmatch(each) for each in uuids)
    with pytest.raises(nvml_here.NVMLError_InvalidArgument):
        nvml_here.nvmlDeviceGetHandleByIndex(8)


def test_cards_differ_as_the_file_says(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers(
        "name.0 NVIDIA H100 80GB HBM3\nname NVIDIA T400 4GB\ncapability.0 90\ncapability.1 75\n"
        "pci.1 00000000:C1:00.0\npower-limit-mw.1 30000\npower-default-mw.1 31000\necc.0 1\n"
        "persistence 0\ncompute-mode.1 3\ndisplay.1 1\naffinity.1 0xf0\napp-sm-mhz.0 1980\n"
    )
    nvml, (big, small) = nvml_here, handles(nvml_here)
    assert [nvml.nvmlDeviceGetName(card) for card in (big, small)] == [
        "NVIDIA H100 80GB HBM3",
        "NVIDIA T400 4GB",
    ]
    assert nvml.nvmlDeviceGetCudaComputeCapability(big) == (9, 0)
    assert nvml.nvmlDeviceGetCudaComputeCapability(small) == (7, 5)
    pci = nvml.nvmlDeviceGetPciInfo(small)
    assert (pci.busId, pci.domain, pci.bus) == ("00000000:C1:00.0", 0, 0xC1)
    assert nvml.nvmlDeviceGetPowerManagementLimit(small) == 30000
    assert nvml.nvmlDeviceGetPowerManagementDefaultLimit(small) == 31000
    assert nvml.nvmlDeviceGetEnforcedPowerLimit(small) == 30000
    assert nvml.nvmlDeviceGetEccMode(big) == [1, 1] and nvml.nvmlDeviceGetEccMode(small) == [0, 0]
    assert nvml.nvmlDeviceGetPersistenceMode(big) == 0
    assert [nvml.nvmlDeviceGetComputeMode(card) for card in (big, small)] == [0, 3]
    assert [nvml.nvmlDeviceGetDisplayActive(card) for card in (big, small)] == [0, 1]
    assert list(nvml.nvmlDeviceGetCpuAffinity(small, 2)) == [0xF0, 0]
    assert nvml.nvmlDeviceGetApplicationsClock(big, nvml.NVML_CLOCK_SM) == 1980
    assert nvml.nvmlDeviceGetIndex(small) == 1


def test_versions_are_text_and_number_of_the_file(stand_in: StandIn, nvml_here: Any) -> None:
    nvml_here.nvmlInit()
    assert nvml_here.nvmlSystemGetDriverVersion() == "580.95.05"
    stand_in.answers("driver-version 525.60.13\ncuda-version 12000\n")
    assert nvml_here.nvmlSystemGetDriverVersion() == "525.60.13"
    assert nvml_here.nvmlSystemGetCudaDriverVersion_v2() == 12000


def test_instances_of_any_card_are_named_after_it(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers(
        "cards 3\nmig.2 1\ninstances.2 6\nname.2 NVIDIA H100 80GB HBM3\nprofile.2/mig1 1g.10gb\n"
        "profile.2/mig2 3g.40gb\ntotal.2/mig1 10000\nuuid.2/mig2 MIG-of-mine\n"
    )
    nvml, card = nvml_here, handles(nvml_here)[2]
    with pytest.raises(nvml.NVMLError_NotFound):
        nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, 0)
    one, other = (nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, k) for k in (1, 2))
    assert nvml.nvmlDeviceGetName(one) == "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    assert nvml.nvmlDeviceGetName(other) == "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    assert [nvml.nvmlDeviceGetUUID(it) for it in (one, other)] == [uuid(2, 1), "MIG-of-mine"]
    assert nvml.nvmlDeviceGetMemoryInfo(one).total == 10000
    found = nvml.nvmlDeviceGetHandleByUUID(uuid(2, 1))
    assert nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(found)) == uuid(
        2
    )
    assert nvml.nvmlDeviceGetGpuInstanceId(one) == 2
    with pytest.raises(nvml.NVMLError_NotSupported):
        nvml.nvmlDeviceGetPowerUsage(one)
    with pytest.raises(nvml.NVMLError_NotFound):
        nvml.nvmlDeviceGetHandleByUUID("GPU-nobody")


def test_names_may_be_no_text(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers(b"name.1 \xf8\x10Garbage\n")
    with pytest.raises(UnicodeDecodeError):
        nvml_here.nvmlDeviceGetName(handles(nvml_here)[1])


def test_every_function_fails_as_it_is_told(stand_in: StandIn, nvml_here: Any) -> None:
    card = handles(nvml_here)[0]
    defined = set(re.findall(r" T nvml(\w+)", symbols(stand_in)))
    assert len(defined) > 50
    for name in defined - {"ErrorString"}:
        call = re.sub("^(DeviceGet|Device|SystemGet)", "", name)
        stand_in.answers(f"fail.{call} 10\n")
        function = getattr(nvml_here.nvmlLib, f"nvml{name}")
        nothing = ctypes.create_string_buffer(64)
        first = ctypes.c_uint(0) if "ByIndex" in name or "Init" in name else nothing
        given = (
            (card, *[nothing] * 5)
            if name.startswith("Device") and "HandleBy" not in name
            else (first, nothing)
        )
        assert function(*given) == 10, name


def symbols(stand_in: StandIn) -> str:
    """What the library offers, as nm(1) lists it."""
    if not shutil.which("nm"):
        pytest.skip("no nm(1) on this machine")
    library = stand_in.libraries / "libnvidia-ml.so.1"
    return subprocess.run(
        ["nm", "-D", str(library)], check=True, capture_output=True, text=True
    ).stdout


def visible(cuda: Any) -> list[str]:
    """PCI positions of the devices that CUDA sees, in its order."""
    if cuda.cuInit(0):
        return []
    count, device, text = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(32)
    assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
    found = []
    for place in range(count.value):
        assert cuda.cuDeviceGet(ctypes.byref(device), place) == 0
        assert cuda.cuDeviceGetPCIBusId(text, 32, device) == 0
        found.append(text.value.decode().removesuffix(":00.0").removeprefix("0000:"))
    return found


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (None, ["01", "02", "03"]),
        ("", []),
        ("1", ["02"]),
        ("2,0", ["03", "01"]),
        ("0,7,1", ["01"]),
        (uuid(1), ["02"]),
        (uuid(2)[:8], ["03"]),
        ("GPU-nobody", []),
    ],
)
def test_cuda_sees_what_its_variable_lets_it(
    asked: str | None,
    seen: list[str],
    stand_in: StandIn,
    cuda_here: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in.answers("cards 3\n")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if asked is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    assert visible(cuda_here) == seen


def test_cuda_counts_the_fastest_card_first_unless_told_otherwise(
    stand_in: StandIn, cuda_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    stand_in.answers("cards 3\nfastest 2\n")
    assert visible(cuda_here) == ["03", "01", "02"]
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert visible(cuda_here) == ["01", "02", "03"]


def test_cuda_takes_memory_that_the_driver_shows(
    stand_in: StandIn, nvml_here: Any, cuda_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", uuid(1))
    cuda, address, context, device = cuda_here, ctypes.c_uint64(), ctypes.c_void_p(), ctypes.c_int()
    assert cuda.cuInit(0) == cuda.cuDeviceGet(ctypes.byref(device), 0) == 0
    bytes_of = (ctypes.c_ubyte * 16)()
    assert cuda.cuDeviceGetUuid_v2(bytes_of, device) == 0
    assert bytes(bytes_of).hex() == uuid(1).removeprefix("GPU-").replace("-", "")
    assert cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device) == 0
    assert cuda.cuMemAlloc_v2(ctypes.byref(address), 4096) == 0
    assert cuda.cuMemsetD8_v2(address, ctypes.c_ubyte(7), ctypes.c_size_t(4096)) == 0
    back = ctypes.create_string_buffer(4096)
    assert (
        cuda.cuMemcpyDtoH_v2(back, address, ctypes.c_size_t(4096)) == 0
        and back.raw == b"\x07" * 4096
    )
    used = [nvml_here.nvmlDeviceGetMemoryInfo(card).used for card in handles(nvml_here)]
    assert used == [1100, 1100 + 4096]
    stand_in.answers("cuda-fail.MemAlloc_v2 2\n")
    assert cuda.cuMemAlloc_v2(ctypes.byref(address), 4096) == 2
    name = ctypes.c_char_p()
    assert (
        cuda.cuGetErrorName(2, ctypes.byref(name)) == 0
        and name.value == b"CUDA_ERROR_OUT_OF_MEMORY"
    )
    assert cuda.cuCtxDestroy_v2(context) == 0
    assert [nvml_here.nvmlDeviceGetMemoryInfo(card).used for card in handles(nvml_here)] == [
        1100,
        1100,
    ]
