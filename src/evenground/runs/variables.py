"""The whole environment of a training: no variable of the caller's, a site's or an image's is in it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import get_args

from evenground.engines import Engine
from evenground.files import empty_folder
from evenground.gpus.choice import VISIBLE
from evenground.gpus.record import Accelerator
from evenground.surroundings.mounts import DRIVER as DRIVER_IN_IMAGE
from evenground.surroundings.record import Variable

# The caller's, and the only ones: the chosen card, how a server that shares it is reached, and where what the
# pipeline or an engine built is kept.
SHARED_CARD = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
CACHE = "EVENGROUND_CACHE"
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Where a definition puts links to CUDA's libraries, if it does, and where `--nv` puts the driver's.
IMAGE_LIBRARIES = ("/opt/evenground/cuda", DRIVER_IN_IMAGE)
# NVIDIA's driver: the engine's library, and the one that says which GPUs there are.
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
# How threads wait for work; none is given, so that a runtime waits as it comes.
WAIT_VARIABLES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")
# CUDA's own names, and the most that it can keep.
KERNELS, KERNELS_SIZE = "CUDA_CACHE_PATH", "CUDA_CACHE_MAXSIZE"
MAX_KERNELS_BYTES = str(2**32)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FIXED = {
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
# Of what an engine is given, these can be another on another machine or in another invocation.
CAN_DIFFER: tuple[Variable, ...] = get_args(Variable)


def of_a_step(
    programs: Sequence[str], in_image: bool, given: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What a step that trains or measures is started with; of such an environment it makes the same again.

    `programs`: names of what an engine calls beside the system's own programs.
    """
    kept = {name: given[name] for name in (VISIBLE, *SHARED_CARD) if name in given}
    found = {**FIXED, **kept, "PATH": os.pathsep.join(_path(programs, in_image, given))}
    libraries = IMAGE_LIBRARIES if in_image else _needed_folders(given)
    if libraries:
        found["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    if not in_image:
        found[CACHE] = _cache(given)
    return found


def _cache(given: Mapping[str, str]) -> str:
    """Where the pipeline and engines keep what they built, as `scripts/environment.py` says it."""
    if given.get(CACHE):
        return str(Path(given[CACHE]).absolute())
    folder = given.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return str(Path(folder, "evenground").absolute())


def programs_of(engine: Engine) -> list[str]:
    """What it calls that the system may not have: programs it names, and its command's first word if so."""
    first = engine.file.command[0]
    is_name = "/" not in first and "{" not in first
    lacking = is_name and shutil.which(first, path=os.pathsep.join(SYSTEM_PATH)) is None
    return [*engine.file.programs, *([first] if lacking else [])]


def of_an_engine(
    threads: int,
    home: Path,
    programs: Sequence[str] = (),
    in_image: bool = False,
    accelerator: Accelerator = "cpu",
) -> dict[str, str]:
    """The whole environment of an engine's process; `home` is its home folder, also for passing files.

    Nothing of a home folder of the caller's is read: `~/.keras/keras.json` would change what is computed.
    """
    of_threads = {name: str(threads) for name in THREAD_VARIABLES}
    folders = {"HOME": str(home), "TMPDIR": str(home / "tmp")}
    found = {**of_a_step(programs, in_image), **folders, **of_threads}
    return {**found, **_of_card(found, accelerator)}


def _of_card(given: Mapping[str, str], accelerator: Accelerator) -> dict[str, str]:
    """What CUDA is told in an engine: its card and where kernels are kept, or that there is no card."""
    if VISIBLE not in given:
        return {}
    if accelerator == "cpu":
        return {VISIBLE: ""}
    kept = kernel_folder()
    return {KERNELS: str(kept), KERNELS_SIZE: MAX_KERNELS_BYTES} if kept else {}


def kernel_folder() -> Path | None:
    """Where the driver keeps the kernels that it compiles; None where nothing can be kept there.

    For a card newer than a library the driver compiles all of its kernels at their first use, for minutes.
    With the home folder, which is new for each training, each would pay for that; so only a warm-up does.
    """
    folder = Path("/tmp", f"evenground-kernels-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder if _is_ours(folder) else None
    except OSError:
        return None


def _path(programs: Sequence[str], in_image: bool, given: Mapping[str, str]) -> list[str]:
    """The system's folders; natively, before them those in which the caller's PATH finds `programs`."""
    if in_image:
        return list(SYSTEM_PATH)
    places = (shutil.which(program, path=given.get("PATH", "")) for program in programs)
    folders = [str(Path(place).absolute().parent) for place in places if place]
    return list(
        dict.fromkeys([*(folder for folder in folders if folder not in SYSTEM_PATH), *SYSTEM_PATH])
    )


def _needed_folders(given: Mapping[str, str]) -> list[str]:
    """Of the caller's LD_LIBRARY_PATH the folders without which this Python or the driver is not found.

    So it is where a cluster's module has a Python that does not know where its library lies, or a cloud's
    node keeps the driver where no other program looks.
    """
    folders = given.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    whole = [folder for folder in folders if Path(folder).is_absolute()]
    found = []
    for library in (*_of_this_python(), *DRIVER):
        places = [folder for folder in whole if Path(folder, library).is_file()]
        if places and not _is_found(library):
            found.append(places[0])
    return list(dict.fromkeys(found))


def _of_this_python() -> list[str]:
    """Its own library, if it has one."""
    library = sysconfig.get_config_var("INSTSONAME")
    return [library] if library and sysconfig.get_config_var("Py_ENABLE_SHARED") else []


@cache
def _is_found(library: str) -> bool:
    """Whether this Python finds it without any variable.

    Without its own library it does not start, or with that of another Python, of the same minor version.
    """
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(sys.version)"
    command = [sys.executable, "-I", "-S", "-c", code, library]
    done = subprocess.run(command, env={}, capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == sys.version


@contextmanager
def home_folder(name: str) -> Iterator[Path]:
    """An empty home folder with a `tmp` in it, which is gone at the end; of the same path each time.

    An environment of another length moves the stack, and that alone can change times (T. Mytkowicz et al.,
    "Producing Wrong Data Without Doing Anything Obviously Wrong!", 2009). `name` is of the lock that is
    held meanwhile: one training at a time has it.
    """
    home = Path("/tmp", f"{name}-{os.getuid()}")
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        ours = _is_ours(home)
        if ours:
            _let_remove(home)
            empty_folder(home)
    except OSError:
        ours = False
    if not ours:
        # Somebody else's, or a file system that cannot be written: then a name that nobody has.
        home = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    (home / "tmp").mkdir()
    try:
        yield home
    finally:
        _let_remove(home)
        shutil.rmtree(home, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    seen = folder.lstat()
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid()


def _let_remove(folder: Path) -> None:
    """Let what is in it be removed: some programs make folders of theirs read-only, as Go's module cache."""
    with suppress(OSError):
        folder.chmod(0o700)
    for above, names, _ in os.walk(folder):
        for inner in (Path(above, name) for name in names):
            if not inner.is_symlink():
                with suppress(OSError):
                    inner.chmod(0o700)
