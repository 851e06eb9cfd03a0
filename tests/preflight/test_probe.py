"""The gate's probe: whatever is not inside as it is outside is named, with the fix, before any training."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evenground.config import load_experiment
from evenground.containers.apptainer import Told
from evenground.containers.images import Image
from evenground.containers.launcher import Launcher
from evenground.gpus.look import Look
from evenground.preflight import inside, probe
from evenground.preflight.finding import Finding
from evenground.preflight.inside import Seen, left, look
from evenground.preflight.probe import wanted_of
from evenground.preflight.trial import Trial, digits_of
from evenground.runs import variables
from evenground.runs.plan import ATTEMPTS, RUNS, Plan
from made_gpus import PLAIN as MADE
from made_gpus import UUID, Planned, planned
from planned import make_plan
from stand_in_driver import StandIn, uuid
from surroundings.mountinfo import NO_LAYER, OVERLAID, OVERLAY, UNDERLAY, WRITABLE_TMPFS, written
from working_copy import fresh_copy

__all__ = ["planned"]
# Of this machine some is seen that no container has; the rest of the answer stays.
AS_IN_A_CONTAINER = {"image": "", "mounts": [], "container": "/cache/jax-1.sif"}
CHANGES = (
    "import json, sys; print(json.dumps(json.loads(sys.stdin.read()) | json.loads(sys.argv[1])))"
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    copy = fresh_copy(tmp_path_factory.mktemp("probed"))
    return make_plan(load_experiment(copy.settings), copy.root)


@pytest.fixture
def probed(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finding]:
    """Runs the probe on this machine itself: `line` is the shell line, `seen` is other in the answer."""
    monkeypatch.chdir(plan.root)
    for name in ("RUNNER_PYTHON", "ENGINE_PYTHON"):
        monkeypatch.setattr(probe, name, sys.executable)
    image = Image("jax", "abc", plan.root / "jax-1.sif", plan.root / "jax-1.json")

    def run(line: str = "{command}", arguments: str = "", **seen: object) -> Finding:
        answer = shlex.join(
            [sys.executable, "-c", CHANGES, json.dumps({**AS_IN_A_CONTAINER, **seen})]
        )

        def whole(file: Path, command: str) -> str:
            assert file == image.file
            return line.replace("{command}", f"( {command} ) | {answer}")

        call = Launcher(whole, Told(arguments, [], []), dict(os.environ))
        return probe.probe(image, wanted_of([plan]), call)

    return run


@pytest.fixture(autouse=True)
def nothing_left(plan: Plan) -> object:
    """Nothing is left behind in the folders that are tried."""
    yield
    folders = [plan.root / folder for folder in (RUNS, ATTEMPTS, "results/logs")]
    assert all(
        folder.is_dir() and not list(folder.iterdir()) for folder in folders if folder.exists()
    )


def test_what_is_as_outside_passes(probed: Callable[..., Finding]) -> None:
    before = set(Path("/tmp").glob(".evenground-*"))
    assert probed() == Finding(
        "container of jax", "ok", "sees the same as outside, and nothing else"
    )
    assert set(Path("/tmp").glob(".evenground-*")) <= before


def test_what_a_sites_programs_print_is_no_answer(probed: Callable[..., Finding]) -> None:
    assert probed("echo welcome; echo; {command}; echo goodbye; echo maintenance >&2").state == "ok"


def test_it_begins_elsewhere(probed: Callable[..., Finding], plan: Plan) -> None:
    found = probed("cd /; {command}")
    assert (
        found.state == "error"
        and found.seen == f"the working directory inside is /, not {plan.root}"
    )
    assert "mount home = yes" in found.fix
    assert probed("cd /; {command}", "--pwd /").fix == "leave --pwd out of --apptainer-args"


def test_a_folder_is_another_one(probed: Callable[..., Finding], plan: Plan) -> None:
    """What is written to it is not there afterwards."""
    runs = plan.root / RUNS
    found = probed(f"{{command}}; rm {runs}/.evenground-*")
    assert found.state == "error"
    assert found.seen == f"what is written to {runs} inside does not reach it: it is another folder"
    fix = probed(f"{{command}}; rm {runs}/.evenground-*", f"--bind /srv:{runs}").fix
    assert fix == f"leave --bind /srv:{runs} out of --apptainer-args"


def test_a_folder_cannot_be_written(probed: Callable[..., Finding], plan: Plan) -> None:
    folders = {str(plan.root / RUNS): "Read-only file system"}
    seen = probed(folders=folders).seen
    assert seen.endswith(f"{RUNS} inside does not reach it: Read-only file system")


def test_a_file_is_another_one(probed: Callable[..., Finding], plan: Plan) -> None:
    file = str(plan.root / "Snakefile")
    found = probed(files={file: "No such file or directory"})
    assert found.seen.startswith(f"{file} is different inside: No such file or directory, not ")
    assert found.fix.startswith("bind nothing over it; ")


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        (
            "echo 'FATAL:   configuration disallows users from running SIF containers' >&2; exit 255",
            "FATAL: configuration disallows users from running SIF containers",
        ),
        (
            "echo 'Could not locate the container application: x'; exit 1",
            "Could not locate the container",
        ),
        ("exit 9", "it printed nothing"),
        ("true", "it printed nothing"),
        ("echo '<html>'", "<html>"),
    ],
)
def test_a_container_that_does_not_start(
    probed: Callable[..., Finding], line: str, seen: str
) -> None:
    found = probed(line)
    assert found.state == "error" and found.seen.startswith(seen) and found.fix


def test_one_that_does_not_answer(
    probed: Callable[..., Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LIMIT_S", 0.3)
    found = probed("exec sleep 10")
    assert found.state == "error" and "did not answer" in found.seen


def test_what_will_flag_every_run_is_said_now(probed: Callable[..., Finding]) -> None:
    found = probed(mounts=["/usr", "/opt/a", "/opt/b", "/opt/c"], container="/tmp/rootfs-1/root")
    assert found.state == "warning"
    assert found.seen == (
        "mounted over files of the image or of the working copy: /usr, /opt/a, /opt/b; "
        "the image is unpacked before every training, which keeps a disk busy"
    )
    assert (
        found.fix
        == "bind nothing there, or runs are flagged; install squashfuse, which mounts images"
    )
    found = probed(arguments="--unsquash", container="/tmp/rootfs-1/root")
    assert found.fix == "leave --unsquash out of --apptainer-args"


def test_all_that_a_training_reads_and_writes_is_looked_at(plan: Plan) -> None:
    folder = plan.root / plan.prepared("tiny")
    folder.mkdir(parents=True)
    try:
        assert not [path for path in wanted_of([plan]).files if path.startswith(str(folder))]
        for name in ("dataset.json", "train_images.npy"):
            (folder / name).touch()
        wanted = wanted_of([plan, plan])
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    files = ["Snakefile", "src/evenground", "results", "tests/fake_engine"]
    assert {str(plan.root / name) for name in files} <= set(wanted.files)
    assert {str(folder / name) for name in ("dataset.json", "train_images.npy")} <= set(
        wanted.files
    )
    assert len(set(wanted.files)) == len(wanted.files)
    assert {str(plan.root / RUNS), str(plan.root / ATTEMPTS), "/tmp"} <= set(wanted.folders)


# Without Apptainer and without a process: what is named of made answers, and in which order.
PLAIN = Seen(
    cwd="/copy",
    process_table="pid:[1]",
    network="net:[1]",
    user="1000",
    machine="m-2c",
    image="",
    files={"/copy/Snakefile": "10 bytes, 1", "/dev/null": "there"},
    folders={"/copy/results/runs": "", "/tmp": ""},
    python="",
)
OTHER: dict[str, dict[str, object]] = {
    "it runs as user 0 inside, as 1000 outside": {"user": "0"},
    "the machine's processes are not visible inside: No such file or directory": {
        "process_table": "No such file or directory"
    },
    "it has its own network inside, where the lock of trainings is not visible": {
        "network": "net:[2]"
    },
    "the working directory inside is /tmp, not /copy": {"cwd": "/tmp"},
    "the image is not used as it was built: /opt/evenground can be written": {
        "image": "/opt/evenground can be written"
    },
    "/copy/Snakefile is different inside: 9 bytes, 1, not 10 bytes, 1": {
        "files": {"/copy/Snakefile": "9 bytes, 1", "/dev/null": "there"}
    },
    "what is written to /copy/results/runs inside does not reach it: Read-only file system": {
        "folders": {"/copy/results/runs": "Read-only file system", "/tmp": ""}
    },
    "the engine's Python does not start inside: Exec format error": {"python": "Exec format error"},
    "the machine is 'm-1c' inside, 'm-2c' outside": {"machine": "m-1c"},
}


def named(seen: Seen, *lost: str) -> list[str]:
    """The differences of what is seen from what is seen outside."""
    return [found.seen for found in probe._differences(seen, PLAIN, lost)]


def test_what_is_the_same_differs_in_nothing() -> None:
    assert named(PLAIN) == []
    assert named(replace(PLAIN, mounts=["/usr"], container="/tmp/rootfs-1/root")) == []


@pytest.mark.parametrize("wanted", OTHER)
def test_each_difference_is_named(wanted: str) -> None:
    assert named(replace(PLAIN, **OTHER[wanted])) == [wanted]  # type: ignore[arg-type]


def test_what_explains_others_comes_first() -> None:
    changes = {name: value for change in OTHER.values() for name, value in change.items()}
    assert named(replace(PLAIN, **changes)) == list(OTHER)  # type: ignore[arg-type]


def test_a_file_that_was_left_must_be_found_outside() -> None:
    assert named(PLAIN, "/tmp") == [
        "what is written to /tmp inside does not reach it: it is another folder"
    ]


@pytest.mark.parametrize(
    ("change", "arguments", "environ", "fix"),
    [
        ({"user": "0"}, "--fakeroot", {}, "leave --fakeroot out of --apptainer-args"),
        ({"user": "0"}, "", {}, "Apptainer's administrator can change it (apptainer.conf)"),
        (
            {"process_table": "pid:[2]"},
            "",
            {"SINGULARITY_CONTAINALL": "1"},
            "unset SINGULARITY_CONTAINALL",
        ),
        (
            {"process_table": "none"},
            "",
            {"APPTAINER_NO_MOUNT": "sys,proc"},
            "unset APPTAINER_NO_MOUNT",
        ),
        (
            {"process_table": "none"},
            "--no-mount tmp",
            {},
            "add /proc to APPTAINER_BIND; Apptainer's administrator can change it "
            "(apptainer.conf: mount proc = yes)",
        ),
        ({"network": "net:[2]"}, "", {"APPTAINER_NETNS_PATH": "/n"}, "unset APPTAINER_NETNS_PATH"),
        (
            {"cwd": "/"},
            "--no-home",
            {"APPTAINER_PWD": "/"},
            "unset APPTAINER_PWD and leave --no-home out of",
        ),
        (
            {"image": "odd"},
            "--writable-tmpfs",
            {},
            "leave --writable-tmpfs out of --apptainer-args",
        ),
        (
            {"folders": {"/tmp": "no"}},
            "",
            {},
            "add /tmp to APPTAINER_BIND; Apptainer's administrator can change it "
            "(apptainer.conf: mount tmp = yes)",
        ),
        ({"folders": {"/tmp": "no"}}, "", {"APPTAINER_BIND": "/s:/tmp,/d"}, "take /s:/tmp out of"),
        (
            {"folders": {"/copy/results/runs": "no"}},
            "",
            {"APPTAINER_BIND": "/copy:/copy:ro,/copy2"},
            "take /copy:/copy:ro out of APPTAINER_BIND",
        ),
        ({"files": {"/copy/Snakefile": "no"}}, "-B /s:/copy", {}, "leave -B /s:/copy out of"),
        (
            {"files": {"/dev/null": "no"}},
            "",
            {"APPTAINER_NO_MOUNT": "dev"},
            "unset APPTAINER_NO_MOUNT",
        ),
        ({"python": "no"}, "", {"APPTAINER_BIND": "/s:/opt"}, "take /s:/opt out of APPTAINER_BIND"),
        ({"python": "no"}, "", {}, "bind nothing over /opt/evenground, "),
        ({"machine": "m"}, "--no-nv", {}, "leave --no-nv out of --apptainer-args"),
        ({"machine": "m"}, "", {"APPTAINER_CPUSET_CPUS": "0"}, "unset APPTAINER_CPUSET_CPUS"),
        ({"machine": "m"}, "", {}, "let it see the same cores and GPUs"),
    ],
)
def test_the_mend_names_who_told_it_so(
    change: dict[str, object], arguments: str, environ: dict[str, str], fix: str
) -> None:
    (found,) = probe._differences(replace(PLAIN, **change), PLAIN, [])  # type: ignore[arg-type]
    call = Launcher(lambda image, command: command, Told(arguments, [], []), environ)
    assert probe._fix_of(found, call).startswith(fix)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (OVERLAY, ""),
        (UNDERLAY, ""),
        (NO_LAYER, ""),
        (OVERLAID, "layers over it: 0"),
    ],
)
def test_an_image_is_seen_through_apptainers_own_layers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seen: str
) -> None:
    monkeypatch.setattr(inside, "MOUNTINFO", written(text, tmp_path))
    monkeypatch.setattr(inside, "IMAGE_FOLDER", str(tmp_path / "none"))
    assert look([], [], "").image == seen


def test_an_image_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "MOUNTINFO", written(WRITABLE_TMPFS, tmp_path))
    monkeypatch.setattr(inside, "IMAGE_FOLDER", str(tmp_path))
    assert look([], [], "").image == f"{tmp_path} can be written"
    monkeypatch.setattr(inside, "MOUNTINFO", tmp_path / "none")
    assert look([], [], "").image == "No such file or directory"


def test_what_is_seen_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("abc")
    os.utime(tmp_path / "file", ns=(5, 5))
    files = [str(tmp_path / "file"), str(tmp_path / "none"), "/dev/null"]
    seen = look(files, [str(tmp_path), str(tmp_path / "none"), "/dev/null"], "t0")
    assert list(seen.files.values()) == ["3 bytes, 5", "No such file or directory", "there"]
    assert list(seen.folders.values()) == ["", "No such file or directory", "Not a directory"]
    assert left(tmp_path, "t0").read_text() == "t0"
    assert look([], [str(tmp_path)], "t0").folders == {str(tmp_path): "File exists"}
    assert (seen.cwd, seen.user) == (str(Path.cwd()), str(os.getuid()))
    assert seen.process_table.startswith("pid:[") and seen.network.startswith("net:[")


@pytest.mark.parametrize(
    ("python", "seen"),
    [
        (sys.executable, ""),
        ("/none/python", "No such file or directory"),
        ("/dev/null", "Permission denied"),
        ("/bin/false", "exit code 1"),
        ("{folder}/odd", "odd: lib.so.1 is missing"),
    ],
)
def test_an_engines_python_that_does_not_start(tmp_path: Path, python: str, seen: str) -> None:
    (tmp_path / "odd").write_text("#!/bin/sh\necho 'odd: lib.so.1\n is missing' >&2\nexit 127\n")
    (tmp_path / "odd").chmod(0o755)
    assert look([], [], "", python.format(folder=tmp_path)).python == seen


NO_CUDA = "CUDA does not work inside: "
NO_NV = "leave --no-nv out of --apptainer-args"


@pytest.mark.parametrize(
    ("trial", "arguments", "environ", "seen", "fix"),
    [
        (
            Trial(error="libcuda.so.1: cannot open"),
            "--no-nv",
            {},
            "libcuda.so.1: cannot open",
            NO_NV,
        ),
        (
            Trial(error="libcuda.so.1: cannot open"),
            "",
            {},
            "libcuda.so.1: cannot open",
            "let `ldconfig -p` outside list libcuda.so.1, where --nv looks for it; ",
        ),
        (
            Trial("cuInit", "CUDA_ERROR_UNKNOWN", has_devices=False),
            "",
            {"APPTAINER_NO_MOUNT": "dev"},
            "cuInit: CUDA_ERROR_UNKNOWN, and /dev/nvidia-uvm is missing",
            "unset APPTAINER_NO_MOUNT",
        ),
        (
            Trial("cuInit", "CUDA_ERROR_UNKNOWN", has_devices=False),
            "",
            {},
            "cuInit: CUDA_ERROR_UNKNOWN, and /dev/nvidia-uvm is missing",
            "as root: nvidia-modprobe -u -c=0, or run any program of CUDA once; ",
        ),
        (
            Trial("cuInit", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"),
            "",
            {},
            "cuInit: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
            "take that libcuda.so.1 out of the loader's path",
        ),
        (
            Trial(devices=2),
            "",
            {},
            f"CUDA sees 2 cards with CUDA_VISIBLE_DEVICES={UUID}",
            "fix NVIDIA's",
        ),
    ],
)
def test_what_does_not_let_cuda_work_there_comes_before_the_machine(
    trial: Trial, arguments: str, environ: dict[str, str], seen: str, fix: str
) -> None:
    inside = replace(PLAIN, trial=trial, machine="m-nogpu")
    first, last = probe._differences(inside, PLAIN, [], UUID)
    assert first.seen == f"{NO_CUDA}{seen}" and last.seen.startswith(
        "the machine is 'm-nogpu' inside"
    )
    call = Launcher(lambda image, command: command, Told(arguments, [], []), environ)
    assert probe._fix_of(first, call).startswith(fix)


def test_where_cuda_works_nothing_differs() -> None:
    works = replace(PLAIN, trial=Trial(devices=1, digits=digits_of(UUID)))
    assert list(probe._differences(works, PLAIN, [], UUID)) == []


def test_cuda_is_tried_in_the_images_of_engines_that_compute_on_the_card(planned: Planned) -> None:
    wanted = wanted_of(planned(MADE, engines=["jax"], deployment="apptainer"))
    assert wanted.cards == {"jax-cuda": UUID}
    on_cpu = wanted_of(planned(MADE, engines=["jax"], deployment="apptainer", accelerator="cpu"))
    assert on_cpu.cards == {}
    assert wanted_of(planned(Look(), engines=["jax"])).cards == {}


@pytest.mark.parametrize("fails", [False, True])
def test_cuda_is_tried_with_the_environment_of_a_step(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, tmp_path: Path, fails: bool
) -> None:
    """In the image the driver lies where --nv puts it; here the stand-in lies there."""
    monkeypatch.chdir(plan.root)
    for name in ("RUNNER_PYTHON", "ENGINE_PYTHON"):
        monkeypatch.setattr(probe, name, sys.executable)
    monkeypatch.setattr(variables, "IMAGE_LIBRARIES", (str(stand_in.libraries),))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "not this one")
    card = uuid(1, 0) if fails else uuid(1)
    wanted = replace(wanted_of([plan]), cards={"jax": card})
    image = Image("jax", "abc", plan.root / "jax-1.sif", plan.root / "jax-1.json")
    as_here = {**AS_IN_A_CONTAINER, "machine": look([], [], "").machine}
    answer = shlex.join([sys.executable, "-c", CHANGES, json.dumps(as_here)])
    call = Launcher(
        lambda file, command: f"( {command} ) | {answer}", Told("", [], []), dict(os.environ)
    )
    found = probe.probe(image, wanted, call)
    assert found.state == ("error" if fails else "ok"), found
    if fails:
        assert found.seen.startswith(f"{NO_CUDA}cuInit: CUDA_ERROR_NO_DEVICE")


def test_in_another_namespace_the_processes_are_others(may_unshare: None) -> None:
    """`/proc` of the machine in a PID namespace of its own shows the processes of another."""
    code = "import sys; from evenground.preflight.inside import look; print(look([], [], '').process_table)"
    env = {"PYTHONPATH": str(Path(inside.__file__).parents[2])}
    words = ["unshare", "--pid", "--fork", sys.executable, "-c", code]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "/proc shows the processes of another namespace\n"


@pytest.fixture
def may_unshare() -> None:
    """Skips where no PID namespace may be made."""
    if not shutil.which("unshare"):
        pytest.skip("a PID namespace needs unshare")
    tried = subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no PID namespace here: {tried.stderr.strip()}")
