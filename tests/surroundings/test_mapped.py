"""Whose code a file is follows from where it lies: the longest folder that is known holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.sidecar.mounts import read_mounts
from evenground.surroundings.mapped import image_places, native_places, places_of, sorted_out
from surroundings.mountinfo import COPY, WAYS, bound, written

ENVIRONMENT = "/home/ana/.cache/evenground/envs/jax-123"
OWN = {
    "/home/ana/.cache/evenground": "cache",
    ENVIRONMENT: "environment",
    "/home/ana/.pyenv/versions/3.11": "Python",
    COPY: "working copy",
    "/tmp/evenground-training-1000": "home folder",
}


def test_natively_each_file_is_the_systems_the_runs_or_foreign() -> None:
    files = [
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/bin/sh",
        f"{ENVIRONMENT}/lib/python3.11/site-packages/jaxlib/xla.so",
        "/home/ana/.cache/evenground/axon/xla.so",
        "/home/ana/.pyenv/versions/3.11/bin/python3.11",
        f"{COPY}/scripts/engines/jax/native.so",
        "/tmp/evenground-training-1000/.cache/compiled.so",
    ]
    foreign = [
        "/home/ana/.cache/evenground-2/x.so",
        "/home/ana/lib/libhook.so",
        "/opt/site/libmpi.so",
        "/tmp/x.so",
        "/usr/local/lib/libopenblas.so",
    ]
    counts, found = sorted_out(places_of([*reversed(foreign), *files], native_places(OWN)))
    assert found == foreign
    assert counts == {
        "Python": 1,
        "cache": 1,
        "environment": 1,
        "home folder": 1,
        "system": 3,
        "working copy": 1,
    }
    assert list(counts) == sorted(counts)


def test_a_python_in_usr_local_is_the_runs_own_and_so_is_what_it_is_asked_to_use() -> None:
    own = native_places({**OWN, "/usr/local": "Python"})
    assert sorted_out(places_of(["/usr/local/lib/libpython3.so"], own)) == ({"Python": 1}, [])
    own = native_places({**OWN, "/usr/local/lib/elixir": "programs"})
    files = ["/usr/local/lib/elixir/bin/x.so", "/usr/local/lib/other.so"]
    assert sorted_out(places_of(files, own)) == ({"programs": 1}, ["/usr/local/lib/other.so"])


@pytest.mark.parametrize("way", WAYS)
def test_in_an_image_all_is_the_images_but_what_is_mounted_over_it(
    tmp_path: Path, way: str
) -> None:
    own = {
        COPY: "working copy",
        "/tmp/evenground-training-1000": "home folder",
        "/opt/mine": "working copy",
    }
    of_a_site = "/.singularity.d/libs/libz.so.1"
    text = (
        WAYS[way]
        + bound("/usr")
        + bound(of_a_site)
        + bound("/scratch")
        + bound("/opt/mine")
        + bound("/usr/local")
    )
    places = image_places(own, read_mounts(written(text, tmp_path)))
    files = {
        "/opt/evenground/engine/bin/python3.12": "image",
        "/lib/x86_64-linux-gnu/libc.so.6": "image",
        "/srv/x.so": "image",
        "/.singularity.d/libs/libcuda.so.1": "driver",
        f"{COPY}/scripts/engines/mine/native.so": "working copy",
        "/opt/mine/native.so": "working copy",
        "/tmp/evenground-training-1000/x.so": "home folder",
    }
    foreign = [of_a_site, "/scratch/x.so", "/tmp/x.so", "/usr/lib/libc.so.6", "/usr/local/lib/x.so"]
    counts, found = sorted_out(places_of([*files, *foreign], places))
    assert found == foreign
    assert counts == {"driver": 1, "home folder": 1, "image": 3, "working copy": 2}


def test_of_no_file_nothing_is_known_to_be_foreign() -> None:
    assert sorted_out(places_of([], native_places({}))) == ({}, [])
