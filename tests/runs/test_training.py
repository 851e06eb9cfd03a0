"""One training with an engine that misbehaves: the outcome has its reason, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cpus.made_system import neighbours
from evenground.analysis.normalise import normalise, read_timeline, timeline_file
from evenground.config import load_experiment
from evenground.cpus.choice import choose
from evenground.cpus.judge import lacking_cores
from evenground.records.cpus import CpuRecord
from evenground.records.environment import Environment, Git, MachineClass
from evenground.records.manifest import Manifest
from evenground.records.outcome import AttemptOutcome
from evenground.runs.command import Work
from evenground.runs.index import build_index
from evenground.runs.log import HEAD_BYTES, TAIL_BYTES
from evenground.runs.outcome import Outcome
from evenground.runs.study import make_study, write_study
from evenground.runs.training import Training, alone, make_attempt, train
from evenground.sidecar import SidecarError
from planned import make_plan, options_of, training_of
from working_copy import WorkingCopy, fresh_copy


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """A working copy with its dataset prepared; each test trains in it with a fake engine."""
    copy = fresh_copy(tmp_path_factory.mktemp("prepared"))
    copy.train_once()
    registry = {"registry": copy.settings["registry"]}
    (copy.root / "registry.json").write_text(json.dumps(registry))
    plan = make_plan(load_experiment(copy.settings), copy.root)
    shared = [
        "--registry",
        "data/registry.yaml",
        "--extra-registry",
        "registry.json",
        "--dataset",
        "tiny",
    ]
    raw, arrays = str(plan.raw("tiny")), str(plan.prepared("tiny"))
    for step in (
        ["fetch.py", *shared, "--output-dir", raw],
        ["prepare.py", *shared, "--raw-dir", raw, "--output-dir", arrays],
    ):
        subprocess.run([sys.executable, f"scripts/{step[0]}", *step[1:]], cwd=copy.root, check=True)
    return copy


def attempt(
    copy: WorkingCopy, mode: str = "", number: int = 1, **changes: object
) -> tuple[Training, Outcome]:
    """One attempt in `copy` with the fake engine in `mode`."""
    (copy.root / "fake_mode").write_text(mode)
    plan = make_plan(load_experiment({**copy.settings, **changes}), copy.root)
    is_cold = bool(changes.get("warm_up_examples"))
    training = training_of(plan, plan.runs[0], number, is_cold)
    return training, train(training, f"test-{os.getpid()}")


@pytest.mark.parametrize(
    ("mode", "reason", "detail"),
    [
        ("crash", "crashed", "the fake engine was told to crash"),
        ("crash-oddly", "crashed", "last line: 2 %"),
        ("kill", "killed-by-signal", "signal 9"),
        ("broken", "broken-events", "line 2"),
        ("stop", "incomplete-events", "they stop before"),
        ("lazy", "wrong-work", "epochs is 1, expected 2"),
        ("hang", "time-limit", "time_limit_s"),
    ],
)
def test_a_failure_has_its_reason_and_keeps_its_log(
    prepared: WorkingCopy, mode: str, reason: str, detail: str
) -> None:
    limit_s = 1.0 if mode == "hang" else 20.0
    training, outcome = attempt(prepared, mode, number=7, seed=99, time_limit_s=limit_s)
    assert outcome.reason == reason and detail in outcome.detail
    written = AttemptOutcome.read(training.folder / "outcome.json")
    assert (written.reason, written.attempt) == (reason, 7)
    assert (training.folder / "run" / "train.log").is_file()
    assert not training.run_dir.exists(), "only finished runs stand under results/runs"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("time-in-ms", "broken-events"),
        ("time-in-us", "broken-events"),
        ("time-since-boot", "broken-events"),
        ("time-as-float", "broken-events"),
        ("time-ahead", "broken-events"),
        ("time-behind", "broken-events"),
        ("time-jumps", "broken-events"),
        ("time-goes-back", "broken-events"),
        ("loss-huge", "broken-events"),
        ("loss-infinite", "broken-events"),
        ("loss-null", "wrong-work"),
        ("loss-negative", "wrong-work"),
        ("byte-order-mark", "broken-events"),
        ("blank-lines", "broken-events"),
        ("loss-zero", None),
        ("odd-signs", None),
        ("windows-lines", None),
        ("more-fields", None),
        ("odd-log", None),
        ("chatty", None),
        ("progress", None),
    ],
)
def test_events_are_judged_when_the_training_ends_as_they_are_read_later(
    prepared: WorkingCopy, tmp_path: Path, mode: str, reason: str | None
) -> None:
    """An engine in another language may be odd in many ways; what is finished can be drawn."""
    training, outcome = attempt(prepared, mode, number=8, seed=ord(mode[0]) * 1000 + len(mode))
    assert outcome.reason == reason, outcome.detail
    assert "\n" not in outcome.detail
    study = make_study({**prepared.settings, "seed": training.spec.seed}, prepared.root)
    (condition,) = build_index(study.record(), prepared.root).conditions
    assert condition.runs[0].status == ("failed" if reason else "finished")
    if reason is None:
        normalise(condition, tmp_path)
        line = read_timeline(timeline_file(tmp_path, condition, condition.runs[0]))
        assert line["rss_bytes"].notna().any()


@pytest.mark.parametrize(("mode", "written_bytes"), [("chatty", 800_000), ("progress", 29_778_000)])
def test_a_chatty_engines_log_is_bounded_and_says_what_was_cut(
    prepared: WorkingCopy, mode: str, written_bytes: int
) -> None:
    training, outcome = attempt(prepared, mode, seed=93)
    assert outcome.reason is None
    content = (training.run_dir / "train.log").read_bytes()
    (cut,) = re.findall(
        rb"\n\[evenground: ([\d,]+) of ([\d,]+) bytes are cut out here; [^\n]+\]\n", content
    )
    cut_bytes, all_bytes = (int(number.replace(b",", b"")) for number in cut)
    assert all_bytes == written_bytes and cut_bytes == written_bytes - HEAD_BYTES - TAIL_BYTES
    assert len(content) < HEAD_BYTES + TAIL_BYTES + 200
    shutil.rmtree(training.run_dir)


def test_a_command_that_is_not_there_was_not_started(prepared: WorkingCopy) -> None:
    file = prepared.root / "tests/fake_engine/engine.yaml"
    before = file.read_text()
    file.write_text(before.replace("python3", "no-such-program"))
    _, outcome = attempt(prepared, seed=98)
    file.write_text(before)
    assert outcome.reason == "not-started"


@pytest.mark.parametrize("warm_up_examples", [0, 32])
@pytest.mark.parametrize(
    ("name", "to", "said"),
    [
        ("test_labels.npy", None, "the file is missing"),
        (
            "train_images.npy",
            "/no/such/disk/array",
            "link to /no/such/disk/array, which is not there",
        ),
        ("train_labels.npy", "/", "cannot read it: Is a directory"),
        ("train_images.npy", "/proc/self/mem", "cannot read it: "),
        ("train_images.npy", "/dev/null", "0 bytes are seen of an array of unknown size"),
        (
            "dataset.json",
            "/no/such/disk/record",
            "link to /no/such/disk/record, which is not there",
        ),
    ],
)
def test_data_that_cannot_be_seen_is_no_crash_and_no_engine_is_started(
    prepared: WorkingCopy, name: str, to: str | None, said: str, warm_up_examples: int
) -> None:
    """As in a container that sees a dataset's folder, and not where links in it lead."""
    prepared.log()
    with in_place_of(prepared, name, to) as file:
        training, outcome = attempt(prepared, seed=95, warm_up_examples=warm_up_examples)
    assert outcome.reason == "data-not-seen" and "\n" not in outcome.detail
    assert "its data cannot be seen from where it runs: " in outcome.detail
    assert (
        said in outcome.detail
        and str(file) in outcome.detail
        and "mount its disk there" in outcome.detail
    )
    assert not prepared.log() and not training.run_dir.exists()
    assert AttemptOutcome.read(training.folder / "outcome.json").reason == "data-not-seen"


@contextmanager
def in_place_of(copy: WorkingCopy, name: str, to: str | None) -> Iterator[Path]:
    """A link in place of a file of the prepared dataset, or nothing; the file is back afterwards."""
    (folder,) = (copy.root / "data/prepared/tiny").iterdir()
    file, aside = folder / name, copy.root / "aside"
    file.rename(aside)
    if to:
        file.symlink_to(to)
    try:
        yield file
    finally:
        aside.replace(file)


def test_less_of_an_array_than_there_is_is_no_crash(prepared: WorkingCopy, tmp_path: Path) -> None:
    (array,) = prepared.root.glob("data/prepared/tiny/*/train_images.npy")
    content = array.read_bytes()
    (tmp_path / "less").write_bytes(content[:-1])
    with in_place_of(prepared, array.name, str(tmp_path / "less")):
        _, outcome = attempt(prepared, seed=94)
    size = len(content)
    assert outcome.reason == "data-not-seen"
    assert f"{size - 1} bytes are seen of an array of {size} (" in outcome.detail


def test_an_engine_whose_data_vanish_while_it_trains_did_not_crash(prepared: WorkingCopy) -> None:
    (array,) = prepared.root.glob("data/prepared/tiny/*/train_images.npy")
    content = array.read_bytes()
    _, outcome = attempt(prepared, "lose-data", seed=92)
    array.write_bytes(content)
    assert outcome.reason == "data-not-seen" and f"the file is missing ({array})" in outcome.detail


def test_a_failed_warm_up_fails_the_attempt_before_it_trains(prepared: WorkingCopy) -> None:
    prepared.log()
    _, outcome = attempt(prepared, "crash", seed=97, warm_up_examples=32)
    assert outcome.reason == "crashed" and outcome.detail.startswith("in the warm-up")
    assert prepared.trainings() == 0


def test_a_finished_run_is_whole_and_fits_its_manifest(prepared: WorkingCopy) -> None:
    training, outcome = attempt(prepared, seed=96)
    assert outcome.reason is None
    manifest = Manifest.read(training.run_dir / "manifest.json")
    assert {path.name for path in training.run_dir.iterdir()} == {*manifest.files, "manifest.json"}
    assert manifest.run.key == training.spec.key
    ended = AttemptOutcome.read(training.run_dir / "outcome.json")
    assert ended == AttemptOutcome.read(training.folder / "outcome.json")
    assert (ended.reason, ended.run) == (None, manifest.run)
    assert ended.length_s > 0


def test_everything_that_can_be_known_of_the_environment_is_recorded(
    prepared: WorkingCopy,
) -> None:
    training, _ = attempt(prepared, seed=91)
    record = environment_of(training)
    unknown = {name for name, value in record if value is None}
    # This machine may have no card, and this training has no environment, image or warm-up.
    assert unknown <= {"driver", "python", "warm_up", "gpu", "image"}
    here = training.here
    assert record.machine == MachineClass(class_name=here.name, description=here.description)
    assert record.swapped_pages is not None and record.swapped_pages >= 0
    assert (record.deployment, record.scheduled, record.git) == ("native", False, Git())


def test_the_engines_environment_is_named_one_by_one(
    prepared: WorkingCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURPRISE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    training, _ = attempt(prepared, "print-environment", seed=95, threads=1)
    log = (training.run_dir / "train.log").read_text()
    assert "SURPRISE" not in log and "OMP_WAIT_POLICY" not in log and "OMP_NUM_THREADS=1\n" in log


def test_threads_are_enforced_by_affinity(
    prepared: WorkingCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever program of the PATH calls itself what usually binds one."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one core")
    program = prepared.root / "programs" / "taskset"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    training, _ = attempt(prepared, "print-environment", seed=94, threads=1)
    assert "cores=1\n" in (training.run_dir / "train.log").read_text()
    record = recorded_cpus(training)
    assert (record.threads_asked, record.n_chosen, record.shared) == (1, 1, 0)


def recorded_cpus(training: Training) -> CpuRecord:
    cpus = environment_of(training).cpus
    assert cpus
    return cpus


def environment_of(training: Training) -> Environment:
    return Environment.read(training.run_dir / "environment.json")


@pytest.mark.parametrize("threads", ["all", 10_000])
def test_more_threads_than_cores_are_recorded(prepared: WorkingCopy, threads: object) -> None:
    """The engine gets what there is, and the record says what was asked for."""
    training, outcome = attempt(prepared, "print-environment", seed=93, threads=threads)
    assert outcome.reason is None
    cores = len(os.sched_getaffinity(0))
    log = (training.run_dir / "train.log").read_text()
    assert f"cores={cores}\n" in log and f"OMP_NUM_THREADS={cores}\n" in log
    record = recorded_cpus(training)
    assert (record.threads_asked, record.n_usable) == (None if threads == "all" else threads, cores)
    lacking = lacking_cores(record)
    assert lacking.size is None or (lacking.size >= 10_000 - cores) == (threads != "all")


def test_what_is_not_known_of_the_cores_has_a_reason(prepared: WorkingCopy) -> None:
    training, _ = attempt(prepared, seed=92)
    record = recorded_cpus(training)
    values = {**asdict(record.heat), "waited": record.waited_periods, "places": record.shared}
    assert {name for name, value in values.items() if value is None} <= record.missing.keys()
    assert all(record.missing.values())


@pytest.mark.parametrize(("threads", "bound"), [(3, (0, 2, 4)), (8, None)])
def test_the_command_is_bound_to_the_cores_that_were_chosen(
    prepared: WorkingCopy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    bound: tuple[int, ...] | None,
) -> None:
    """And to none where it may have all of them."""
    neighbours(4).write(tmp_path)
    told: list[dict[str, object]] = []

    def run(command: list[str], **options: object) -> None:
        told.append(options)
        raise SidecarError("only the options are of interest")

    monkeypatch.setattr(
        "evenground.runs.training.choose", lambda n, near: choose(n, tmp_path, range(8))
    )
    monkeypatch.setattr("evenground.sidecar.run", run)
    plan = make_plan(load_experiment({**prepared.settings, "threads": threads}), prepared.root)
    training = training_of(plan, plan.runs[0], 3, False)
    make_attempt(training, training.work(tmp_path), tmp_path, tmp_path)
    assert [options["cpus"] for options in told] == [bound]


def test_cpus_that_the_kernel_does_not_give_are_a_failure_with_its_reason(
    prepared: WorkingCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(choose(1), usable=(0, 60_000), chosen=(60_000,))
    monkeypatch.setattr("evenground.runs.training.choose", lambda threads, near: gone)
    plan = make_plan(load_experiment(prepared.settings), prepared.root)
    training = training_of(plan, plan.runs[0], 4, False)
    outcome = make_attempt(training, training.work(tmp_path), tmp_path, tmp_path)
    assert outcome.reason == "not-started" and "cannot be bound to CPUs 60000" in outcome.detail


def test_two_trainings_never_run_at_once(tmp_path: Path) -> None:
    log: list[str] = []

    def hold(name: str) -> None:
        with alone(f"test-{os.getpid()}"):
            log.append(f"{name} in")
            time.sleep(0.05)
            log.append(f"{name} out")

    threads = [threading.Thread(target=hold, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.split()[1] for entry in log] == ["in", "out"] * 3


def test_a_source_changed_during_an_invocation_is_refused(prepared: WorkingCopy) -> None:
    study = make_study(prepared.settings, prepared.root)
    write_study(study)
    script = prepared.root / "tests/fake_engine/more.py"
    script.write_text("MORE = 1\n")
    command = [sys.executable, "scripts/train.py", *options_of(study.first.runs[0])]
    done = subprocess.run(command, cwd=prepared.root, capture_output=True, text=True)
    script.unlink()
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    changed = "a source changed since the invocation planned this run (tests/fake_engine/more.py)"
    assert done.stderr.startswith(f"error: {changed}")


@pytest.mark.parametrize(
    ("limit", "asked", "examples"),
    [(None, 70, 70), (None, 5, 32), (32, 70, 32), (64, 3200, 32), (1000, 5, 32)],
)
def test_a_warm_up_judges_no_more_examples_than_it_trains_and_makes_a_step(
    prepared: WorkingCopy,
    monkeypatch: pytest.MonkeyPatch,
    limit: int | None,
    asked: int,
    examples: int,
) -> None:
    """With batches of 32. Where a step takes seconds, all test examples take longer than the sample."""
    arm = {"name": "arm", "folder": "tests/fake_engine", "arm_of": "fake_a", "train_limit": limit}
    engines = [*prepared.settings["engines"], arm]
    plan = make_plan(
        load_experiment({**prepared.settings, "engines": engines, "warm_up_examples": asked}),
        prepared.root,
    )
    works: list[Work] = []

    def attempted(_training: Training, work: Work, *_: Path) -> Outcome:
        works.append(work)
        return Outcome("crashed", "only the warm-up is of interest")

    monkeypatch.setattr("evenground.runs.training.make_attempt", attempted)
    run = next(run for run in plan.runs if run.engine == "arm")
    train(training_of(plan, run, 5, True), f"test-{os.getpid()}")
    (warm_up,) = works
    assert (warm_up.epochs, warm_up.train_limit, warm_up.test_limit) == (1, examples, examples)


def test_an_engine_that_does_not_say_so_is_given_no_limit_of_the_test_examples(
    prepared: WorkingCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines from before there was one refuse an argument that they do not know."""
    folder = prepared.root / "older"
    shutil.copytree(prepared.root / "tests/fake_engine", folder)
    told = (folder / "engine.yaml").read_text().replace("test_limit: true\n", "")
    (folder / "engine.yaml").write_text(told)
    settings = {"engines": [{"name": "older", "folder": "./older"}], "warm_up_examples": 40}
    plan = make_plan(load_experiment({**prepared.settings, **settings}), prepared.root)
    works: list[Work] = []

    def attempted(_training: Training, work: Work, *_: Path) -> Outcome:
        works.append(work)
        return Outcome("crashed", "only the warm-up is of interest")

    monkeypatch.setattr("evenground.runs.training.make_attempt", attempted)
    train(training_of(plan, plan.runs[0], 7, True), f"test-{os.getpid()}")
    assert (works[0].train_limit, works[0].test_limit) == (40, None)


def test_a_limit_of_the_test_examples_reaches_the_engine_and_is_judged(
    prepared: WorkingCopy,
) -> None:
    (prepared.root / "fake_mode").write_text("")
    plan = make_plan(load_experiment(prepared.settings), prepared.root)
    training = training_of(plan, plan.runs[0], 6, False)
    for limit, judged in ((8, 8), (1000, 20)):
        folder = training.folder / str(limit)
        folder.mkdir(parents=True)
        outcome = make_attempt(
            training, replace(training.work(folder), test_limit=limit), folder, folder
        )
        assert outcome.reason is None, outcome.detail
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        assert [event["examples"] for event in events if event["event"] == "evaluate_end"] == [
            judged
        ]


@pytest.mark.parametrize(
    ("limit", "examples", "warm_up"), [(64, 64, 32), (1000, 80, 32), (None, 80, 70)]
)
def test_a_train_limit_reaches_the_engine_and_its_warm_up(
    prepared: WorkingCopy, limit: int | None, examples: int, warm_up: int
) -> None:
    """Of 80 examples in batches of 32; the events are judged by what was asked for."""
    arm = {"name": "arm", "folder": "tests/fake_engine", "arm_of": "fake_a", "train_limit": limit}
    changes = {"engines": [*prepared.settings["engines"], arm], "seed": 90, "warm_up_examples": 70}
    (prepared.root / "fake_mode").write_text("")
    plan = make_plan(load_experiment({**prepared.settings, **changes}), prepared.root)
    run = next(run for run in plan.runs if run.engine == "arm")
    training = training_of(plan, run, 1, True)
    outcome = train(training, f"test-{os.getpid()}")
    assert outcome.reason is None, outcome.detail
    events = [
        json.loads(line) for line in (training.run_dir / "events.jsonl").read_text().splitlines()
    ]
    loaded = next(event for event in events if event["event"] == "load_end")
    ended = [event["examples"] for event in events if event["event"] == "epoch_end"]
    assert loaded["train_examples"] == examples and ended == [64, 64]
    warmed = environment_of(training).warm_up
    assert warmed and warmed.examples == warm_up and warmed.wall_s > 0
