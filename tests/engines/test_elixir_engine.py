"""The Elixir engine as engine.sh builds and starts it: fingerprint, lock and process; with Nx its backend.

What needs Nx is skipped unless EVENGROUND_ELIXIR_SOURCES names the folder of sources that docs/elixir.md describes
("The Elixir engine": nx, axon, polaris, complex and telemetry beside each other) and Elixir is 1.17 or newer.
EXLA is never needed: an application of its name stands in for it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from engines.support import ROOT
from evenground.digests import tree
from evenground.protocol.parity import Case, write_dataset
from evenground.records.events import Expected, Start, check_file
from evenground.runs.variables import IMAGE_LIBRARIES, SYSTEM_PATH, of_an_engine

ENGINE = ROOT / "scripts" / "engines" / "axon"
SOURCES = os.environ.get("EVENGROUND_ELIXIR_SOURCES", "")
MIB = 2**20

# What a started engine finds: its environment, its schedulers, and what malloc was told.
STAND_IN = """
defmodule Evenground.Main do
  def train(_arguments) do
    [{:instance, 0, [{:options, malloc}]}] = :erlang.system_info({:allocator, :sys_alloc})
    IO.puts("schedulers=#{:erlang.system_info(:schedulers)} trim=#{malloc[:tt]} pad=#{malloc[:tp]}")
    for name <- ~w(NPROC PJRT_NPROC MALLOC_MMAP_THRESHOLD_), do: IO.puts("#{name}=#{System.get_env(name)}")
  end

  def parity(arguments), do: train(arguments)
end
"""
# The environment of EXLA 0.13.1's application, and as much of its modules as is asked before it computes.
EXLA_APPLICATION = """
{application, exla, [
  {vsn, "0.13.1"},
  {applications, [kernel]},
  {mod, {'Elixir.EXLA.Application', []}},
  {env, [
    {clients, [
      {cuda, [{platform, cuda}]},
      {rocm, [{platform, rocm}]},
      {tpu, [{platform, tpu}]},
      {host, [{platform, host}]}
    ]},
    {preferred_clients, [cuda, rocm, tpu, host]}
  ]}
]}.
"""
EXLA_MODULES = """
defmodule EXLA.Application do
  def start(_type, _arguments) do
    if text = System.get_env("EXLA_FAULT"), do: raise(text)
    Agent.start_link(fn -> nil end)
  end
end

defmodule EXLA.Client do
  def get_supported_platforms, do: %{host: 1, cuda: 1}
  def fetch!(name), do: Application.fetch_env!(:exla, :clients)[name]
end

defmodule EXLA.Backend do
  def init(options), do: options
end
"""
CONFIGURE = """
options = %{"backend" => "exla", "preallocate" => hd(System.argv()) == "true", "tf32" => false}
device = Evenground.Backend.configure(%{options: options, accelerator: "cuda"})
clients = Application.fetch_env!(:exla, :clients)
preferred = Application.fetch_env!(:exla, :preferred_clients)
IO.inspect({device =~ "cuda:", clients[:cuda], preferred, Nx.default_backend()})
"""

# Of a training, where Elixir is in a folder of the caller's PATH or of the system's.
VARIABLES = of_an_engine(1, Path(tempfile.gettempdir()), ["elixir", "erl", "mix"])
needs_elixir = pytest.mark.skipif(not shutil.which("elixirc"), reason="Elixir is not installed")


def engine(folder: Path, *words: str, status: int = 0, **more: str) -> str:
    """What engine.sh prints of that copy of the engine, started with the environment of a training."""
    home = {
        "EVENGROUND_AXON_HOME": str(folder.parent / "home"),
        "MIX_HOME": str(folder.parent / "mix"),
    }
    return printed(["sh", str(folder / "engine.sh"), *words], {**VARIABLES, **home, **more}, status)


def printed(words: list[str], environment: Mapping[str, str], status: int = 0) -> str:
    done = subprocess.run(
        words,
        env={**environment, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def copied(folder: Path) -> Path:
    """The engine's folder as a fresh clone has it."""
    built = shutil.ignore_patterns("_build", "deps", "tmp")
    return Path(shutil.copytree(ENGINE, folder / "axon", ignore=built))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return copied(tmp_path)


# ------------------------------------------------------------------ the fingerprint of the built code


def test_every_source_at_any_depth_makes_another_build(own: Path) -> None:
    places = {engine(own, "place")}
    sources = [path for part in ("core", "trainer") for path in sorted((own / part).rglob("*"))]
    sources = [
        path for path in sources if path.is_file() and "test" not in path.relative_to(own).parts
    ]
    sources = [path for path in sources if not path.name.startswith(".")]
    assert len(sources) > 20 and {".ex", ".exs", ".lock"} == {path.suffix for path in sources}
    for number, path in enumerate(sources):
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        places.add(engine(own, "place"))
        assert len(places) == number + 2, path.relative_to(own)
        path.write_bytes(before)


@pytest.mark.parametrize(
    "new",
    [
        "core/lib/evenground/a/b/c/deep.ex",
        "core/lib/evenground/npy/priv/table.txt",
        "trainer/config/config.exs",
        "trainer/priv/libx.so",
        "trainer/src/odd name.erl",
        "core/lib/evenground/deps/x.ex",
    ],
)
def test_a_new_file_of_any_kind_makes_another_build(own: Path, new: str) -> None:
    before = engine(own, "place")
    (own / new).parent.mkdir(parents=True, exist_ok=True)
    (own / new).touch()
    added = engine(own, "place")
    (own / new).rename(own / new.replace(".", "2."))
    renamed = engine(own, "place")
    assert len({before, added, renamed}) == 3


def test_a_linked_source_counts_by_its_content(own: Path, tmp_path: Path) -> None:
    path = own / "core/lib/evenground/npy/header.ex"
    before = engine(own, "place")
    path.rename(tmp_path / "header.ex")
    path.symlink_to(tmp_path / "header.ex")
    assert engine(own, "place") == before
    (tmp_path / "header.ex").write_text("other")
    assert engine(own, "place") != before


@pytest.mark.parametrize(
    "new",
    [
        "core/test/more_test.exs",
        "core/_build/x.beam",
        "trainer/deps/nx/mix.exs",
        "core/lib/.x.ex.swp",
    ],
)
def test_what_is_no_source_makes_no_other_build(own: Path, new: str) -> None:
    before = engine(own, "place")
    (own / new).parent.mkdir(parents=True, exist_ok=True)
    (own / new).touch()
    assert engine(own, "place") == before


# --------------------------------------------------------------------------- where a build writes, and what

# As Hex does, `deps.get` writes a lock and fetched packages beside the mix.exs that it reads.
MIX = """#!/bin/sh
echo "mix $* in $PWD" >>"$CALLS"
case $1 in
deps.get) echo '  "exla": {:hex, :exla, "0.13.1"},' >>mix.lock; mkdir -p deps ;;
compile)
    [ ! -e "$CALLS.fail" ] || exit 1
    mkdir -p "$MIX_BUILD_PATH/lib"
    touch "$MIX_BUILD_PATH/lib/$XLA_TARGET"
    ;;
esac
"""
ELIXIR = "#!/bin/sh\necho 1.18.3\n"


@pytest.fixture
def fakes(tmp_path: Path) -> dict[str, str]:
    """An environment in which `mix` and `elixir` only leave their marks."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name, text in (("mix", MIX), ("elixir", ELIXIR)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}


def test_a_build_writes_nothing_into_the_folder_that_is_in_every_runs_key(
    own: Path, fakes: dict[str, str]
) -> None:
    before, files = tree([own], own), sorted(own.rglob("*"))
    place = Path(engine(own, "place").strip())
    assert engine(own, "build", **fakes).splitlines()[-1] == f"built: {place}"
    assert tree([own], own) == before and sorted(own.rglob("*")) == files
    assert (place / "complete").is_file()
    # The lock that is committed was there when packages were resolved, and what was added to it is kept.
    locked = (place / "source/trainer/mix.lock").read_text()
    assert locked.startswith((own / "trainer/mix.lock").read_text()) and '"exla"' in locked


def test_a_build_that_fails_is_not_complete_and_neither_is_the_one_before_it(
    own: Path, fakes: dict[str, str]
) -> None:
    engine(own, "build", **fakes)
    place = Path(engine(own, "place").strip())
    Path(fakes["CALLS"] + ".fail").touch()
    engine(own, "build", status=1, **fakes)
    assert not (place / "complete").exists()
    said = engine(own, "check", status=1, **fakes)
    assert said.startswith("not built: sh scripts/engines/axon/engine.sh build")


def test_builds_for_two_targets_stand_beside_each_other(own: Path, fakes: dict[str, str]) -> None:
    for target in ("cpu", "cuda12", "cuda12"):
        place = Path(engine(own, "place", XLA_TARGET=target).strip())
        engine(own, "build", XLA_TARGET=target, **fakes)
        assert [path.name for path in (place / "build/lib").iterdir()] == [target]
    assert len({engine(own, "place", XLA_TARGET=target) for target in ("cpu", "cuda12")}) == 2
    assert (
        engine(own, "build", XLA_TARGET="rocm", status=1, **fakes)
        == "error: XLA_TARGET=rocm: cpu or cuda12\n"
    )


def test_other_packages_are_built_anew(own: Path, fakes: dict[str, str], tmp_path: Path) -> None:
    place = Path(engine(own, "place").strip())
    engine(own, "build", **fakes)
    (place / "build/of-hex").touch()
    engine(own, "build", **fakes)
    assert (place / "build/of-hex").exists()
    engine(own, "build", EVENGROUND_ELIXIR_SOURCES=str(tmp_path), **fakes)
    assert not (place / "build/of-hex").exists()


def test_the_lock_pins_all_packages_but_the_one_whose_checksum_is_not_published() -> None:
    lock = (ENGINE / "trainer/mix.lock").read_text()
    locked = dict(
        re.findall(
            r'^  "(\w+)": \{:hex, :\w+, "([\d.]+)", "[0-9a-f]{64}", .*"[0-9a-f]{64}"\},$',
            lock,
            re.M,
        )
    )
    assert len(locked) == lock.count("{:hex, :") == 9
    wanted = dict(re.findall(r'\{:(\w+), "== ([\d.]+)"', (ENGINE / "trainer/mix.exs").read_text()))
    assert wanted.keys() - locked.keys() == {"exla"}
    assert {name: locked[name] for name in wanted if name in locked} == {
        name: version for name, version in wanted.items() if name in locked
    }


# ------------------------------------------------ which build, and CUDA from the wheels of an environment

HOW = "sh scripts/engines/axon/engine.sh build"
# What an engine is started with, by name.
SAYS = """#!/bin/sh
[ "$1" != --short-version ] || { echo 1.18.3; exit; }
for name in LD_LIBRARY_PATH XLA_FLAGS; do eval "echo $name=\\$$name"; done
for word in "$@"; do case $word in */build/*) echo "place=${word%/build/*}" ;; esac; done
"""


def wheels_in(environment: Path) -> Path:
    """An environment with the wheels of CUDA as they lie in it; their folder."""
    wheels = environment / "lib/python3.12/site-packages/nvidia"
    for name in (
        "cuda_nvcc/bin/ptxas",
        "cuda_nvcc/nvvm/libdevice/libdevice.10.bc",
        "cuda_nvcc/nvvm/lib64/libnvvm.so",
        "cudnn/lib/libcudnn.so.9",
        "cudnn/include/cudnn.h",
        "nvshmem/lib/nvshmem_transport_ibrc.so.3",
    ):
        (wheels / name).parent.mkdir(parents=True, exist_ok=True)
        (wheels / name).touch()
    (wheels / "cuda_nvcc/bin/ptxas").chmod(0o755)
    (environment / "bin").mkdir()
    (environment / "bin/python").symlink_to(sys.executable)
    return wheels


def built_for(own: Path, *targets: str) -> None:
    for target in targets:
        place = Path(engine(own, "place", XLA_TARGET=target).strip())
        place.mkdir(parents=True)
        (place / "complete").touch()


@pytest.fixture
def says(fakes: dict[str, str]) -> dict[str, str]:
    """An environment in which `elixir` says what it was started with."""
    (Path(fakes["PATH"].split(":")[0]) / "elixir").write_text(SAYS)
    return {"PATH": fakes["PATH"]}


def said_by(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_build_for_the_processor_is_refused_where_a_gpu_shall_compute(
    own: Path, says: dict[str, str]
) -> None:
    assert engine(own, "check", "--accelerator", "cuda", status=1, **says) == (
        f"not built: XLA_TARGET=cuda12 {HOW} (docs/elixir.md says what it needs)\n"
    )
    built_for(own, "cpu")
    assert said_by(engine(own, "check", "--accelerator=cpu", **says))["place"].endswith("-cpu")
    refused = "built for the processor only, and a GPU shall compute: XLA_TARGET=cuda12"
    wanted = f"{refused} {HOW}, or set accelerator: cpu\n"
    assert (
        engine(own, "check", "--option", "a=b", "--accelerator", "cuda", status=1, **says) == wanted
    )
    assert engine(own, "train", "--accelerator", "cuda", status=1, **says) == f"error: {wanted}"


@pytest.mark.parametrize(
    ("built", "accelerator", "taken"),
    [
        (["cuda12"], "cpu", "cuda12"),
        (["cuda12"], "cuda", "cuda12"),
        (["cpu", "cuda12"], "cpu", "cpu"),
        (["cpu", "cuda12"], "cuda", "cuda12"),
    ],
)
def test_a_build_for_cuda_does_for_both(
    own: Path, says: dict[str, str], built: list[str], accelerator: str, taken: str
) -> None:
    built_for(own, *built)
    said = said_by(engine(own, "train", "--accelerator", accelerator, "--threads", "1", **says))
    assert said["place"].endswith(f"-{taken}")


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_libraries_libdevice_and_ptxas_come_from_the_environment(
    own: Path, says: dict[str, str], tmp_path: Path, accelerator: str
) -> None:
    """XLA tries <data dir>/nvvm/libdevice and <data dir>/bin before anything else."""
    environment = tmp_path / "an environment"
    wheels = wheels_in(environment)
    built_for(own, "cuda12")
    words = ["--python", str(environment / "bin/python"), "train", "--accelerator", accelerator]
    said = said_by(engine(own, *words, LD_LIBRARY_PATH="/driver", **says))
    libraries = said["LD_LIBRARY_PATH"].split(":")
    assert libraries == [str(wheels / "cudnn/lib"), str(wheels / "nvshmem/lib"), "/driver"]
    given = re.fullmatch(r'--xla_gpu_cuda_data_dir="(.*)"', said["XLA_FLAGS"])
    assert given
    assert Path(given[1], "nvvm/libdevice/libdevice.10.bc").is_file()
    assert os.access(Path(given[1], "bin/ptxas"), os.X_OK)


def test_a_build_for_the_processor_is_told_nothing_of_cuda(
    own: Path, says: dict[str, str], tmp_path: Path
) -> None:
    wheels_in(tmp_path / "environment")
    built_for(own, "cpu")
    words = ["--python", str(tmp_path / "environment/bin/python"), "train", "--accelerator", "cpu"]
    said = said_by(engine(own, *words, **says))
    assert said["XLA_FLAGS"] == said["LD_LIBRARY_PATH"] == ""


def test_a_check_tries_exla_only_where_cudas_libraries_are_made(
    tmp_path: Path, says: dict[str, str]
) -> None:
    """It comes before the environment, and is called with a Python that is not of it."""
    root = tmp_path / "copy"
    own = Path(shutil.copytree(ENGINE, root / "scripts/engines/axon"))
    for name in ("environment", "_path"):
        shutil.copy(ROOT / f"scripts/{name}.py", root / "scripts")
    for name in ("src", "envs"):
        (root / name).symlink_to(ROOT / name)
    built_for(own, "cuda12")
    cache = {"EVENGROUND_CACHE": str(tmp_path / "cache")}
    words = ["--python", sys.executable, "check", "--accelerator", "cuda"]
    assert engine(own, *words, **says, **cache) == ""
    where = [sys.executable, str(root / "scripts/environment.py"), "axon-cuda", "--where"]
    environment = Path(printed(where, {**os.environ, **cache}).strip())
    wheels = wheels_in(environment)
    assert engine(own, *words, **says, **cache) == "", "half an environment is none"
    (environment / "evenground-complete").touch()
    said = said_by(engine(own, *words, **says, **cache))
    assert said["LD_LIBRARY_PATH"].startswith(f"{wheels}/cudnn/lib:")


def test_in_an_image_xla_finds_libdevice_and_ptxas_without_any_variable(tmp_path: Path) -> None:
    """By the lines of the definition itself, in a made root: a training's environment is made anew."""
    wheels = wheels_in(tmp_path / "opt/evenground/engine")
    shutil.copytree(ENGINE, tmp_path / "opt/evenground/source")
    text = (ROOT / "containers/axon.def").read_text()
    lines = re.search(r"^    \. /opt/evenground/source/cuda\.sh\n(    .*\n){2}", text, re.M)
    assert lines and "link_cuda" in lines[0]
    # All that is named by its place in the image lies in the made root.
    script = (
        lines[0]
        .replace("/opt/", f"{tmp_path}/opt/")
        .replace('link_cuda "$wheels" ""', f'link_cuda "$wheels" "{tmp_path}"')
    )
    printed(["sh", "-euc", script], {"PATH": os.environ["PATH"]})
    roots = [tmp_path / name for name in ("usr/local/cuda", "opt/cuda")]
    found = [root for root in roots if (root / "nvvm/libdevice/libdevice.10.bc").is_file()]
    assert found == [tmp_path / "opt/cuda"]
    assert os.access(found[0] / "bin/ptxas", os.X_OK)
    on_path = [f"{tmp_path}{folder}" for folder in SYSTEM_PATH]
    assert shutil.which("ptxas", path=":".join(on_path)) == str(tmp_path / "usr/local/bin/ptxas")
    linked = {path.name for path in (tmp_path / IMAGE_LIBRARIES[0].lstrip("/")).iterdir()}
    assert linked == {"libcudnn.so.9", "nvshmem_transport_ibrc.so.3"}
    assert wheels in (tmp_path / "opt/cuda").resolve().parents


# ------------------------------------------------------------------------------ the process of a training


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose built code only says what it was started with."""
    own = copied(tmp_path_factory.mktemp("started"))
    place = Path(engine(own, "place").strip())
    compiled(place / "build/lib/evenground_trainer/ebin", STAND_IN)
    (place / "complete").touch()
    return own


def compiled(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder.parent / "modules.ex").write_text(text)
    printed(["elixirc", "-o", str(folder), str(folder.parent / "modules.ex")], VARIABLES)


def process_of(folder: Path, *words: str, **more: str) -> dict[str, str]:
    """What a started training finds, by name."""
    said = engine(folder, "train", "--events", "e", *words, **more)
    return dict(word.split("=") for word in said.split())


@needs_elixir
@pytest.mark.parametrize(
    ("words", "threads"),
    [
        (["--threads", "1"], "1"),
        (["--threads=3"], "3"),
        (["--threads", "1", "--seed", "5", "--threads", "2"], "2"),
        (["--dataset", "a --threads 7 b", "--threads", "2"], "2"),
    ],
)
def test_threads_reach_xla_and_the_schedulers(
    started: Path, words: list[str], threads: str
) -> None:
    """Called by hand nothing binds the process to cores, and XLA would take all of the machine's."""
    seen = process_of(started, *words, NPROC="77", PJRT_NPROC="78")
    assert seen["schedulers"] == seen["NPROC"] == seen["PJRT_NPROC"] == threads


@needs_elixir
def test_malloc_is_as_the_beam_leaves_it_unless_freed_memory_is_kept(started: Path) -> None:
    without = [[], ["--option", "keep_freed_memory=false"], ["--dataset", "keep_freed_memory=true"]]
    for words in without:
        seen = process_of(started, "--threads", "1", *words)
        assert (seen["trim"], seen["pad"], seen["MALLOC_MMAP_THRESHOLD_"]) == ("131072", "0", "")


@needs_elixir
@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_the_option_keeps_freed_memory(started: Path, word: str) -> None:
    words = [
        "--option",
        "backend=exla",
        f"--option=keep_freed_memory={word}",
        "--option",
        "tf32=false",
    ]
    seen = process_of(started, "--threads", "2", *words)
    assert seen["schedulers"] == "2"
    assert int(seen["trim"]) == 1_000_000 * 1024 and int(seen["pad"]) == 100_000 * 1024
    # The most that glibc takes: above it the variable has no effect.
    assert int(seen["MALLOC_MMAP_THRESHOLD_"]) == 32 * MIB


# ----------------------------------------------------------------------------------------- with Nx at hand


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the engine, built from the sources at hand."""
    if not SOURCES:
        pytest.skip(
            "Nx is not at hand: set EVENGROUND_ELIXIR_SOURCES to a folder of its sources (docs/elixir.md)"
        )
    if not shutil.which("elixir"):
        pytest.skip("Elixir is not installed")
    found = subprocess.run(
        ["elixir", "--short-version"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    if tuple(map(int, found.split(".")[:2])) < (1, 17):
        pytest.skip(f"Nx needs Elixir 1.17, here is {found.strip()}")
    own = copied(tmp_path_factory.mktemp("built"))
    engine(own, "build", EVENGROUND_ELIXIR_SOURCES=SOURCES)
    return own


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled code of an application with EXLA's name and defaults."""
    folder = tmp_path_factory.mktemp("stand_in") / "exla/ebin"
    compiled(folder, EXLA_MODULES)
    (folder / "exla.app").write_text(EXLA_APPLICATION)
    return folder


@pytest.fixture
def with_exla(built: Path, stand_in: Path) -> Iterator[Path]:
    """The built engine with that application among its packages, taken away again."""
    place = Path(engine(built, "place").strip())
    (place / "build/lib/exla").symlink_to(stand_in.parent)
    yield built
    (place / "build/lib/exla").unlink()


@pytest.mark.parametrize("preallocate", ["false", "true"])
def test_the_clients_have_the_option_although_exla_brings_its_own(
    with_exla: Path, preallocate: str
) -> None:
    code = Path(engine(with_exla, "place").strip()) / "build/lib/*/ebin"
    said = printed(["elixir", "-pa", str(code), "-e", CONFIGURE, preallocate], VARIABLES)
    client = f"[platform: :cuda, preallocate: {preallocate}]"
    wanted = f"{{true, {client}, [:cuda], {{EXLA.Backend, [client: :cuda]}}}}"
    # Before it there may be why the card, which is not there, has no name.
    assert " ".join(said.split()).endswith(wanted)


def test_the_check_sees_what_is_there(built: Path) -> None:
    assert engine(built, "check", "--option", "backend=binary", "--option", "tf32=false") == ""
    said = engine(built, "check", "--option", "backend=exla", status=1)
    assert (
        said.startswith("EXLA is not built in (--option backend=exla): ") and said.count("\n") == 1
    )


def test_the_check_says_why_exla_does_not_start(with_exla: Path) -> None:
    assert engine(with_exla, "check", "--option", "backend=exla") == ""
    said = engine(
        with_exla, "check", "--option", "backend=exla", status=1, EXLA_FAULT="no libstdc++"
    )
    assert said.startswith("EXLA does not start: exla: ") and said.count("\n") == 1
    assert "no libstdc++" in said


def test_a_source_that_changed_after_the_build_is_not_built(built: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(built, tmp_path / "axon"))
    home = str(built.parent / "home")
    words = ["check", "--option", "backend=binary"]
    assert engine(own, *words, EVENGROUND_AXON_HOME=home) == ""
    header = own / "core/lib/evenground/npy/header.ex"
    header.write_text(header.read_text() + "\n")
    assert engine(own, *words, status=1, EVENGROUND_AXON_HOME=home).startswith("not built: ")


def test_a_training_on_the_binary_backend_names_every_package(built: Path, tmp_path: Path) -> None:
    write_dataset(Case("mlp", "mlp", (7, 6, 1), 12, 5), tmp_path / "data")
    events = tmp_path / "events.jsonl"
    words = [
        "--dataset",
        str(tmp_path / "data"),
        "--network",
        "mlp",
        "--epochs",
        "1",
        "--batch-size",
        "8",
    ]
    words += ["--learning-rate", "0.001", "--seed", "1", "--threads", "1", "--accelerator", "cpu"]
    words += ["--train-limit", "16", "--test-limit", "5", "--events", str(events)]
    engine(built, "train", *words, "--option", "backend=binary")
    start, *_ = check_file(events, Expected(epochs=1, train_examples=16, test_examples=5))
    assert isinstance(start, Start)
    packages = {"axon", "complex", "nx", "polaris", "telemetry"}
    assert start.versions.keys() == packages | {"elixir", "otp"}
    assert all(re.fullmatch(r"\d+(\.\d+)*", version) for version in start.versions.values()), (
        json.dumps(start.versions)
    )
