"""What is mounted over an image is told from what Apptainer mounts by itself, whatever way it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.sidecar.mounts import Mount, read_mounts
from evenground.surroundings.mounts import (
    MOUNTINFO,
    foreign_mounts,
    is_below,
    kind_at,
    mounted_below,
    over_image,
)
from surroundings.mountinfo import COPY, OVERLAY, UNDERLAY, WAYS, bound, written


def foreign(text: str, folder: Path, *ours: str) -> list[str]:
    """The foreign mounts of a mountinfo."""
    return foreign_mounts(Path(COPY), ours, written(text, folder))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_apptainers_is_foreign(tmp_path: Path, way: str) -> None:
    assert foreign(WAYS[way], tmp_path) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "target",
    [
        "/usr",
        "/usr/local",
        "/opt/evenground/engine",
        "/etc/ssl",
        "/lib64",
        f"{COPY}/data",
        f"{COPY}/src/x",
    ],
)
def test_what_is_bound_over_the_image_or_into_the_copy_is(
    tmp_path: Path, way: str, target: str
) -> None:
    assert foreign(WAYS[way] + bound(target), tmp_path) == [target]
    # Also where what is bound has the same path on the machine.
    assert foreign(WAYS[way] + bound(target, source=target), tmp_path) == [target]


def test_what_lies_elsewhere_is_nobodys_business(tmp_path: Path) -> None:
    places = ["/mnt/site", "/scratch", "/home/ana/other", "/home/ana/copy2", "/usrlocal", "/home"]
    assert foreign(OVERLAY + "".join(map(bound, places)), tmp_path) == []


def test_ours_are_not_foreign_but_what_is_bound_into_them_is(tmp_path: Path) -> None:
    text = OVERLAY + bound("/opt/engines/mine") + bound("/data/results")
    assert foreign(text, tmp_path, "/opt/engines/mine", "/data/results") == []
    assert foreign(text + bound("/opt/engines/mine/lib"), tmp_path, "/opt/engines/mine") == [
        "/opt/engines/mine/lib"
    ]


@pytest.mark.parametrize(
    "place", ["/etc/hosts", "/etc/passwd", "/etc/localtime", "/.singularity.d/libs"]
)
def test_what_apptainer_mounts_is_known_by_name(tmp_path: Path, place: str) -> None:
    assert foreign(OVERLAY + bound(place), tmp_path) == []
    assert foreign(OVERLAY + bound(f"{place}-not"), tmp_path) == [f"{place}-not"]


LIBRARIES = "/.singularity.d/libs"


@pytest.mark.parametrize(
    ("place", "is_drivers"),
    [
        ("/usr/bin/nvidia-smi", True),
        ("/usr/bin/nvidia-cuda-mps-server", True),
        ("/usr/bin/python3", False),
        ("/usr/bin/nvidia", False),
        ("/usr/share/glvnd/egl_vendor.d/10_nvidia.json", True),
        ("/usr/share/vulkan/implicit_layer.d/nvidia_layers.json", True),
        ("/usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json", True),
        ("/usr/share/nvidia/nvoptix.bin", True),
        ("/usr/share/glvnd/egl_vendor.d", False),
        (f"{LIBRARIES}/libcuda.so.1", True),
        (f"{LIBRARIES}/libnvidia-ml.so.550.54.14", True),
        (f"{LIBRARIES}/libGLESv2_nvidia.so", True),
        (f"{LIBRARIES}/libcudart.so.12", False),
        (f"{LIBRARIES}/libcudnn.so.9", False),
        (f"{LIBRARIES}/libz.so.1", False),
        ("/.singularity.d/env", False),
    ],
)
def test_of_programs_libraries_and_settings_only_the_drivers_are_expected(
    tmp_path: Path, place: str, is_drivers: bool
) -> None:
    assert foreign(OVERLAY + bound(place), tmp_path) == ([] if is_drivers else [place])


def test_a_disk_that_the_machine_has_in_the_copy_is_not_foreign(tmp_path: Path) -> None:
    disks = [f"{COPY}/data", f"{COPY}/results/runs"]
    outside = (
        bound("/") + bound(COPY) + bound(f"{COPY}2/data") + "".join(map(bound, reversed(disks)))
    )
    assert mounted_below(Path(COPY), written(outside, tmp_path)) == disks
    inside = OVERLAY + "".join(map(bound, disks))
    assert foreign(inside, tmp_path, *disks) == [] and foreign(inside, tmp_path) == disks


def test_a_place_is_named_once_and_in_order(tmp_path: Path) -> None:
    text = OVERLAY + bound("/usr") + bound("/opt/x") + bound("/usr")
    assert foreign(text, tmp_path) == ["/opt/x", "/usr"]


def test_signs_that_the_kernel_escapes_are_read(tmp_path: Path) -> None:
    text = bound(r"/opt/a\040b\011c\134d\012e", source=r"/srv/ü\0401")
    (mount,) = read_mounts(written(text, tmp_path))
    assert mount == Mount("254:0", "/srv/ü 1", "/opt/a b\tc\\d\ne", "ext4", "rw")
    assert foreign(OVERLAY + text, tmp_path) == ["/opt/a b\tc\\d\ne"]


def test_the_file_system_of_a_path_is_the_one_that_is_mounted_there_last(tmp_path: Path) -> None:
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
        "2 1 0:50 / /home rw shared:3 master:4 - nfs4 server:/home rw",
    ]
    lines += [
        "3 2 8:2 / /home/ana/disk rw - xfs /dev/sdb rw",
        "4 1 0:51 / /work rw - autofs auto rw",
    ]
    lines += ["5 4 0:52 / /work rw - lustre server:/work rw"]
    (tmp_path / "mountinfo").write_text("\n".join(lines))
    wanted = {
        "/": "ext4",
        "/homes/x": "ext4",
        "/home/ana": "nfs4",
        "/home/ana/disk/x": "xfs",
        "/work": "lustre",
    }
    for path, kind in wanted.items():
        assert kind_at(Path(path), tmp_path / "mountinfo") == kind, path


def test_names_that_are_no_text_are_read(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_bytes(bound("/opt/X").encode().replace(b"X", b"\xff"))
    (mount,) = read_mounts(tmp_path / "mountinfo")
    assert mount.point == "/opt/\udcff"


def test_here_the_mounts_can_be_read_and_without_proc_that_is_said(tmp_path: Path) -> None:
    assert "/" in {mount.point for mount in read_mounts(MOUNTINFO)}
    with pytest.raises(FileNotFoundError):
        foreign_mounts(Path(COPY), [], tmp_path / "none")


def test_of_an_underlay_only_what_is_not_the_images_is_over_it(tmp_path: Path) -> None:
    points = [
        mount.point
        for mount in over_image(read_mounts(written(UNDERLAY + bound("/usr"), tmp_path)))
    ]
    assert points.count("/usr") == 1 and "/opt" not in points and "/proc" in points
    assert over_image([]) == []


@pytest.mark.parametrize(
    ("path", "folder", "is_it"),
    [
        ("/usr", "/usr", True),
        ("/usr/lib", "/usr", True),
        ("/usr/lib", "/usr/", True),
        ("/usrlocal", "/usr", False),
        ("/usr", "/usr/lib", False),
        ("/any", "/", True),
        ("/", "/", True),
    ],
)
def test_below(path: str, folder: str, is_it: bool) -> None:
    assert is_below(path, folder) == is_it
