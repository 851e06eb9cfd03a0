"""The environment of a step and of an engine: whole, the same each time, nothing of the caller's."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from evenground.engines import Engine, EngineFile
from evenground.environments.cache import cache_dir
from evenground.runs import variables
from evenground.runs.variables import (
    FIXED,
    IMAGE_LIBRARIES,
    SYSTEM_PATH,
    THREAD_VARIABLES,
    home_folder,
    of_a_step,
    of_an_engine,
    programs_of,
)

SYSTEM = ":".join(SYSTEM_PATH)
# As a shell, a module, a scheduler, a framework's guide or an image sets them.
ODD = {
    "BASH_ENV": "/site/profile",
    "CUDA_CACHE_DISABLE": "1",
    "GLIBC_TUNABLES": "glibc.malloc.arena_max=1",
    "HOME": "/home/ana",
    "JAX_PLATFORMS": "cpu",
    "KERAS_HOME": "/site/keras",
    "KMP_BLOCKTIME": "0",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "de_DE.UTF-8",
    "LD_LIBRARY_PATH": "/site/lib",
    "LD_PRELOAD": "/site/lib/libsite.so",
    "MALLOC_ARENA_MAX": "1",
    "NVIDIA_TF32_OVERRIDE": "1",
    "OMP_NUM_THREADS": "7",
    "OMP_WAIT_POLICY": "active",
    "PYTHONHASHSEED": "7",
    "PYTHONPATH": "/site/python",
    "PYTHONDONTWRITEBYTECODE": "",
    "SLURM_CPU_BIND": "quiet",
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TMPDIR": "/site/scratch",
    "XLA_FLAGS": "--xla_dump_to=/site",
}


def program(folder: Path, name: str) -> Path:
    """Let a folder have a program."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that needs no library of its own."""
    monkeypatch.setattr(sysconfig, "get_config_var", {}.get)


@pytest.mark.usefixtures("plain_python")
def test_natively_nothing_of_the_callers_gets_through_but_the_choice_of_gpus_and_the_cache() -> (
    None
):
    chosen = {"CUDA_VISIBLE_DEVICES": "GPU-1", "CUDA_MPS_PIPE_DIRECTORY": "/run/mps"}
    given = {
        **ODD,
        **chosen,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "PATH": "/site/bin",
        "EVENGROUND_CACHE": "/cache",
    }
    wanted = {**FIXED, **chosen, "PATH": SYSTEM, "EVENGROUND_CACHE": "/cache"}
    assert of_a_step([], False, given) == wanted


def test_an_engine_sees_the_chosen_card_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its card's driver compiles outlives the home folder, which is new for each training."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    on_card = of_an_engine(2, tmp_path, accelerator="cuda")
    assert on_card["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    kept = Path(on_card["CUDA_CACHE_PATH"])
    assert kept.is_dir() and not kept.is_relative_to(tmp_path) and kept.stat().st_mode & 0o77 == 0
    beside = of_an_engine(2, tmp_path, accelerator="cpu")
    assert beside["CUDA_VISIBLE_DEVICES"] == "" and "CUDA_CACHE_PATH" not in beside
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "CUDA_VISIBLE_DEVICES" not in of_an_engine(2, tmp_path, accelerator="cpu")


def test_in_an_image_its_own_programs_and_libraries_are_found_and_no_cache() -> None:
    given = {**ODD, "PATH": "/site/bin", "EVENGROUND_CACHE": "/cache", "CUDA_VISIBLE_DEVICES": "0"}
    wanted = {**FIXED, "PATH": SYSTEM, "LD_LIBRARY_PATH": ":".join(IMAGE_LIBRARIES)}
    assert of_a_step(["mix"], True, given) == {**wanted, "CUDA_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize("in_image", [False, True])
def test_of_its_own_result_the_same_is_made(tmp_path: Path, in_image: bool) -> None:
    for folder in ("first", "second"):
        program(tmp_path / folder, "both")
    program(tmp_path / "second", "one")
    path = f"{tmp_path}/second:/usr/bin:{tmp_path}/first"
    once = of_a_step(
        ["one", "both", "none"], in_image, {**ODD, "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    )
    assert of_a_step(["one", "both", "none"], in_image, once) == once
    assert once["CUDA_VISIBLE_DEVICES"] == ""


def test_natively_only_folders_with_the_engines_programs_stand_before_the_systems(
    tmp_path: Path,
) -> None:
    own = program(tmp_path / "own", "mix")
    program(tmp_path / "other", "taskset")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    given = {"PATH": f"{tmp_path}/other:{tmp_path}/link:/usr/bin"}
    # `sh` is the system's, `mix` only the caller's, `none` nobody's.
    found = of_a_step(["sh", "mix", "none"], False, given)["PATH"]
    assert found == f"{tmp_path}/link:{SYSTEM}", "a folder keeps its name"
    assert of_a_step(["sh"], False, given)["PATH"] == SYSTEM
    assert of_a_step(["mix"], False, {})["PATH"] == SYSTEM
    assert own.is_file()


def test_a_caller_who_puts_another_before_the_systems_program_is_obeyed(tmp_path: Path) -> None:
    program(tmp_path, "sh")
    found = of_a_step(["sh"], False, {"PATH": f"{tmp_path}:/usr/bin:/bin"})["PATH"]
    assert found == f"{tmp_path}:{SYSTEM}"


def test_a_relative_folder_of_programs_is_told_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "mix")
    monkeypatch.chdir(tmp_path)
    assert of_a_step(["mix"], False, {"PATH": "bin:/usr/bin"})["PATH"] == f"{tmp_path}/bin:{SYSTEM}"


def engine(first: str, *programs: str) -> Engine:
    file = EngineFile(label="Made", command=[first, "train"], programs=list(programs))
    return Engine("made", Path("made"), file, {}, "#000000")


@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        ("sh", []),
        ("no-such-program", ["no-such-program"]),
        ("{python}", []),
        ("{folder}/run", []),
        ("/opt/made/run", []),
        ("./run", []),
    ],
)
def test_the_programs_of_an_engine(first: str, wanted: list[str]) -> None:
    assert programs_of(engine(first)) == wanted
    assert programs_of(engine(first, "mix", "elixir")) == ["mix", "elixir", *wanted]


def test_a_python_that_the_system_lacks_is_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "system", "python3")
    monkeypatch.setattr(variables, "SYSTEM_PATH", (str(tmp_path / "system"),))
    assert programs_of(engine("python3")) == []
    monkeypatch.setattr(variables, "SYSTEM_PATH", (str(tmp_path),))
    assert programs_of(engine("python3")) == ["python3"]


@pytest.fixture
def shared_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the library of a Python that cannot start without it."""
    names = {"INSTSONAME": "libpython3.so.1.0", "Py_ENABLE_SHARED": 1}
    monkeypatch.setattr(sysconfig, "get_config_var", names.get)
    folder = tmp_path / "module/lib"
    folder.mkdir(parents=True)
    (folder / names["INSTSONAME"]).touch()
    return folder


def test_only_this_pythons_own_library_is_still_found(shared_python: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    (again / "libpython3.so.1.0").touch()
    given = {"LD_LIBRARY_PATH": f":.:relative:/site/lib:{shared_python}:{again}"}
    found = of_a_step([], False, given)
    assert found["LD_LIBRARY_PATH"] == str(shared_python)
    assert of_a_step([], False, found) == found
    assert of_a_step([], True, given)["LD_LIBRARY_PATH"] == ":".join(IMAGE_LIBRARIES)


@pytest.mark.parametrize("given", [{}, {"LD_LIBRARY_PATH": ""}, {"LD_LIBRARY_PATH": "/site/lib:."}])
@pytest.mark.usefixtures("shared_python")
def test_where_no_folder_has_it_the_variable_is_not_set(given: dict[str, str]) -> None:
    assert "LD_LIBRARY_PATH" not in of_a_step([], False, given)


@pytest.mark.usefixtures("plain_python")
def test_a_python_without_such_a_library_needs_no_folder(tmp_path: Path) -> None:
    assert "LD_LIBRARY_PATH" not in of_a_step([], False, {"LD_LIBRARY_PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"EVENGROUND_CACHE": "/cache", "XDG_CACHE_HOME": "/caches"}, "/cache"),
        ({"EVENGROUND_CACHE": "cache"}, "{here}/cache"),
        ({"EVENGROUND_CACHE": "../cache"}, "{here}/../cache"),
        ({"EVENGROUND_CACHE": "", "XDG_CACHE_HOME": "/caches"}, "/caches/evenground"),
        ({"XDG_CACHE_HOME": "caches"}, "{here}/caches/evenground"),
        ({}, "/home/ana/.cache/evenground"),
    ],
)
def test_the_cache_is_where_environments_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wanted: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("EVENGROUND_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/ana", **given}.items():
        monkeypatch.setenv(name, value)
    assert of_a_step([], False)["EVENGROUND_CACHE"] == wanted.format(here=tmp_path)
    assert str(cache_dir()) == wanted.format(here=tmp_path)


def test_an_engine_has_a_home_and_threads_of_its_own(tmp_path: Path) -> None:
    found = of_an_engine(3, tmp_path, in_image=True)
    assert {found.pop(name) for name in THREAD_VARIABLES} == {"3"}
    assert (found.pop("HOME"), found.pop("TMPDIR")) == (str(tmp_path), f"{tmp_path}/tmp")
    assert found == of_a_step([], True)


NAME = f"evenground-test-{os.getpid()}"


def test_a_home_folder_is_empty_of_one_path_and_gone_at_the_end() -> None:
    with home_folder(NAME) as home:
        assert [path.name for path in home.iterdir()] == [
            "tmp"
        ] and home.stat().st_mode & 0o777 == 0o700
        (home / ".keras").mkdir()
        (home / "tmp/left").write_text("by an engine")
    assert not home.exists()
    with home_folder(NAME) as again:
        assert again == home
    with pytest.raises(RuntimeError), home_folder(NAME):
        raise RuntimeError("an engine crashed")
    assert not home.exists()


def test_what_a_killed_training_left_is_emptied() -> None:
    home = Path("/tmp", f"{NAME}-{os.getuid()}")
    (home / ".keras").mkdir(parents=True)
    (home / ".keras/keras.json").write_text("{}")
    with home_folder(NAME) as found:
        assert found == home and [path.name for path in home.iterdir()] == ["tmp"]


def test_a_folder_that_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    link = Path("/tmp", f"{NAME}-{os.getuid()}")
    link.symlink_to(tmp_path)
    try:
        with home_folder(NAME) as home:
            assert home != link and home.parent == link.parent
        assert not home.exists() and (tmp_path / "kept").exists() and link.is_symlink()
    finally:
        link.unlink()


def test_a_file_of_that_name_is_left_alone() -> None:
    file = Path("/tmp", f"{NAME}-{os.getuid()}")
    file.write_text("somebody's")
    try:
        with home_folder(NAME) as home:
            assert (home / "tmp").is_dir()
        assert file.read_text() == "somebody's"
    finally:
        file.unlink()


def test_somebody_elses_folder_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.getuid() + 1
    theirs = Path("/tmp", f"{NAME}-{other}")
    theirs.mkdir()
    (theirs / "kept").touch()
    monkeypatch.setattr(os, "getuid", lambda: other)
    try:
        with home_folder(NAME) as home:
            assert home != theirs
        assert (theirs / "kept").exists() and not home.exists()
    finally:
        (theirs / "kept").unlink()
        theirs.rmdir()
