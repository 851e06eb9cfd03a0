"""All environment variables of a training: it inherits none of a caller, a site or an image."""

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
from evenground.environments.cache import CACHE, cache_dir
from evenground.files import empty_folder
from evenground.gpus.choice import VISIBLE
from evenground.records.gpus import Accelerator
from evenground.records.surroundings import Variable
from evenground.surroundings.mounts import DRIVER as DRIVER_IN_IMAGE

# The caller's only ones: the chosen card, how a server that shares it is reached, and the cache of
# what the pipeline or an engine built.
SHARED_CARD = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
KEPT = (VISIBLE, *SHARED_CARD)
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Where a definition puts links to CUDA's libraries, if it does, and where `--nv` puts the driver's.
IMAGE_LIBRARIES = ["/opt/evenground/cuda", DRIVER_IN_IMAGE]
# NVIDIA's driver: the library of engines, and the one that lists the GPUs.
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
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
# Of an engine's variables, those that can differ between machines or invocations.
CAN_DIFFER: tuple[Variable, ...] = get_args(Variable)


def of_a_step(
    programs: Sequence[str], in_image: bool, given: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables of a step that trains or measures, made of the caller's in `given`.

    `programs`: names of what an engine starts besides the system's own programs. Made of its own
    result it is the same again.
    """
    kept = {name: given[name] for name in KEPT if name in given}
    path = list(SYSTEM_PATH)
    libraries = IMAGE_LIBRARIES
    if not in_image:
        path = _folders_of(programs, given) + path
        libraries = _needed_folders(given)
    variables = {**FIXED, **kept, "PATH": os.pathsep.join(path)}
    if libraries:
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    if not in_image:
        variables[CACHE] = str(cache_dir(given))
    return variables


def programs_of(engine: Engine) -> list[str]:
    """What it starts that the system may not have: the programs it names, and its own command."""
    programs = list(engine.file.programs)
    command = engine.file.command[0]
    # A path, or `{python}`, is not looked up.
    is_name = "/" not in command and "{" not in command
    if is_name and shutil.which(command, path=os.pathsep.join(SYSTEM_PATH)) is None:
        programs.append(command)
    return programs


def of_an_engine(
    threads: int,
    home: Path,
    programs: Sequence[str] = (),
    in_image: bool = False,
    accelerator: Accelerator = "cpu",
) -> dict[str, str]:
    """All variables of an engine's process; `home` is its home folder, also for temporary files.

    Nothing in a home folder of the caller's is read: `~/.keras/keras.json` would change what is
    computed.
    """
    variables = of_a_step(programs, in_image)
    variables["HOME"] = str(home)
    variables["TMPDIR"] = str(home / "tmp")
    for name in THREAD_VARIABLES:
        variables[name] = str(threads)
    if VISIBLE in variables:
        if accelerator == "cpu":
            # Hidden: a framework would take memory on every card that it sees.
            variables[VISIBLE] = ""
        else:
            kernels = kernel_folder()
            if kernels:
                variables[KERNELS] = str(kernels)
                variables[KERNELS_SIZE] = MAX_KERNELS_BYTES
    return variables


def kernel_folder() -> Path | None:
    """Where the driver keeps the kernels that it compiles; None if nothing can be kept there.

    For a card newer than a library the driver compiles all of its kernels at their first use, for
    minutes. In the home folder, which is new for each training, each would pay for that; so only a
    warm-up does.
    """
    folder = Path("/tmp", f"evenground-kernels-{os.getuid()}")
    return folder if _made_ours(folder) else None


def _folders_of(programs: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """The folders in which the caller's PATH finds `programs`, without the system's, each once."""
    folders = []
    for program in programs:
        path = shutil.which(program, path=given.get("PATH", ""))
        if path:
            folders.append(str(Path(path).absolute().parent))
    return [folder for folder in dict.fromkeys(folders) if folder not in SYSTEM_PATH]


def _needed_folders(given: Mapping[str, str]) -> list[str]:
    """Folders of the caller's LD_LIBRARY_PATH without which this Python or the driver is not found.

    A cluster's module may have a Python that does not know where its library lies, and a cloud's
    node may keep the driver where no other program looks.
    """
    libraries = list(DRIVER)
    own = sysconfig.get_config_var("INSTSONAME")
    if own and sysconfig.get_config_var("Py_ENABLE_SHARED"):
        libraries.insert(0, own)
    needed = []
    for library in libraries:
        for folder in given.get("LD_LIBRARY_PATH", "").split(os.pathsep):
            if Path(folder).is_absolute() and Path(folder, library).is_file():
                if not _is_found(library):
                    needed.append(folder)
                break
    return list(dict.fromkeys(needed))


@cache
def _is_found(library: str) -> bool:
    """Whether this Python finds it without any variable.

    Without its own library it does not start, or starts with that of another Python of the same
    minor version.
    """
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(sys.version)"
    command = [sys.executable, "-I", "-S", "-c", code, library]
    done = subprocess.run(command, env={}, capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == sys.version


@contextmanager
def home_folder(name: str) -> Iterator[Path]:
    """An empty home folder with a `tmp` in it, removed at the end; its path is always the same.

    An environment of another length moves the stack, and that alone can change times (T. Mytkowicz
    et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", 2009). `name` is that of
    the lock that is held meanwhile: one training at a time has it.
    """
    home = Path("/tmp", f"{name}-{os.getuid()}")
    try:
        is_usable = _made_ours(home)
        if is_usable:
            _let_remove(home)
            empty_folder(home)
    except OSError:
        is_usable = False
    if not is_usable:
        # It belongs to another user, or the file system cannot be written: an unused name will do.
        home = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    (home / "tmp").mkdir()
    try:
        yield home
    finally:
        _let_remove(home)
        shutil.rmtree(home, ignore_errors=True)


def _made_ours(folder: Path) -> bool:
    """Make a folder that only this user can read; False if another user or a file has the name."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        seen = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid()


def _let_remove(folder: Path) -> None:
    """Make all folders in it removable: programs leave read-only ones, e.g. Go's module cache."""
    with suppress(OSError):
        folder.chmod(0o700)
    for above, names, _ in os.walk(folder):
        for name in names:
            inner = Path(above, name)
            if not inner.is_symlink():
                with suppress(OSError):
                    inner.chmod(0o700)
