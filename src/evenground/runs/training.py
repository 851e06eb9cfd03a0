"""One training: warm-up, sidecar beside it, judgement of how it ended, and the move to its place."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evenground import logs, sidecar
from evenground.cpus.choice import Choice, choose
from evenground.cpus.watch import Watch
from evenground.datasets.storage import require_seen
from evenground.errors import EvengroundError
from evenground.files import empty_folder, move, read_json, sha256_file, write_json
from evenground.gpus.record import Accelerator
from evenground.images import Record
from evenground.records.events import Expected
from evenground.records.faults import RecordError
from evenground.records.times import read_folder
from evenground.runs.attempt import leave_mark, outcome_content
from evenground.runs.command import Work
from evenground.runs.gpu import gpu_record
from evenground.runs.keys import SCHEMA
from evenground.runs.log import NO_GPU_MEMORY, bounded, last_line, line_with
from evenground.runs.machine import kernel_counts, swapped_pages
from evenground.runs.outcome import Outcome, process_outcome
from evenground.runs.plan import ATTEMPTS, OUTCOME, RUNS, Plan, Run
from evenground.runs.record import environment_record
from evenground.runs.surroundings import Files, mapped_files, surroundings_of
from evenground.runs.variables import home_folder, of_an_engine, programs_of
from evenground.sidecar import SidecarError, Summary
from evenground.sidecar.gpu import has_library

LOCK = "evenground-training"
LOG = "train.log"
MAPPED = "mapped.json"
LOCK_POLL_S = 0.2


@dataclass(frozen=True)
class Training:
    """A wanted run, resolved to what this machine has to do for it."""

    plan: Plan
    run: Run
    attempt: int
    python: Path | None
    warm_up: bool
    cold_start: bool = False
    """Whether it starts cold, for want of a warm-up."""
    image: Record | None = None
    """The container image this runs in; None outside of one."""
    container: str = ""
    """What Apptainer calls it: the file that it mounted, or a folder that it unpacked it to."""
    mounted: Sequence[str] = ()
    """Where the machine itself has something mounted below the working copy."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Commit of the working copy and whether it was changed, as `record.source_state` says it."""
    job: str = ""
    """The scheduler's number of the job that this is; empty where none started it."""

    @property
    def folder(self) -> Path:
        """Where this attempt is made, outside `results/runs`."""
        return self.plan.root / ATTEMPTS / self.run.path / str(self.attempt)

    @property
    def run_dir(self) -> Path:
        """Where the finished run belongs."""
        return self.plan.root / RUNS / self.run.path

    @cached_property
    def cpus(self) -> Choice:
        """The CPUs it gets, read of the machine once: all its parts are told the same."""
        chosen = self.plan.here.choice.chosen if self.accelerator == "cuda" else None
        near = chosen.card.near_cpus if chosen else None
        return choose(self.plan.experiment.threads, near=near or ())

    @property
    def accelerator(self) -> Accelerator:
        """Where its engine is told to compute."""
        return self.plan.accelerator_of(self.plan.engine(self.run.engine))

    @property
    def card(self) -> str | None:
        """UUID of the card that it gets, or that is beside it; None where the machine has none."""
        chosen = self.plan.here.choice.chosen
        return chosen.uuid if chosen else None

    @property
    def command(self) -> list[str]:
        """The engine's own command."""
        return self.plan.engine(self.run.engine).command(str(self.python))

    def variables(self, home: Path) -> dict[str, str]:
        """The whole environment of its engine."""
        return of_an_engine(
            threads=len(self.cpus.chosen),
            home=home,
            programs=programs_of(self.plan.engine(self.run.engine)),
            in_image=self.image is not None,
            accelerator=self.accelerator,
        )

    def work(self, folder: Path) -> Work:
        """What the engine is asked to do, its events going to `folder`."""
        given = self.plan.experiment
        engine = self.plan.engine(self.run.engine)
        return Work(
            dataset=self.plan.prepared(self.run.dataset),
            network=self.plan.datasets[self.run.dataset].network,
            epochs=given.epochs,
            batch_size=given.batch_size,
            learning_rate=given.learning_rate,
            seed=given.seed + self.run.repetition,
            threads=len(self.cpus.chosen),
            accelerator=self.accelerator,
            linger_s=given.linger_s,
            events=folder / "events.jsonl",
            train_limit=engine.train_limit,
            options=engine.options,
        )


@contextmanager
def alone(name: str = LOCK) -> Iterator[None]:
    """Hold the machine's training lock: whatever started them, two trainings never run at once.

    The lock is a socket's name in Linux's abstract namespace: every user of this machine sees the same one,
    and so do containers that share its network, as Apptainer's do, though their cache is another folder.
    It needs no file and is free when its holder ends, however that ends.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        told = False
        while not _taken(lock, name):
            if not told:
                logs.info("waiting for another training on this machine to end ...")
            told = True
            time.sleep(LOCK_POLL_S)
        yield


def _taken(lock: socket.socket, name: str) -> bool:
    try:
        lock.bind(f"\0{name}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def train(training: Training, lock: str = LOCK) -> Outcome:
    """Make one attempt at a run; its outcome is in `outcome.json`, a finished run stands under its place."""
    empty_folder(training.folder)
    made = training.folder / "run"
    made.mkdir()
    leave_mark(training.folder, training.plan.experiment.deployment, training.job)
    with alone(lock), home_folder(lock) as home:
        here = training.plan.here
        record = environment_record(here, training.python, training.variables(home))
        started_ns = time.time_ns()
        outcome, record["warm_up"] = (
            _warm_up(training, home) if training.warm_up else (Outcome(None), None)
        )
        if outcome.reason is None:
            mapped = training.folder / MAPPED
            before, watch = kernel_counts(), Watch(training.cpus)
            outcome = make_attempt(training, training.work(made), made, home, mapped)
            record["swapped_pages"] = swapped_pages(before, kernel_counts())
            record["cpus"] = asdict(watch.end())
            files = mapped_files(training, home, mapped)
            record["surroundings"] = asdict(surroundings_of(training, home, files))
            record["gpu"] = _of_gpu(training, files)
        write_json(
            made / "environment.json", {**record, **_deployment(training), "git": training.source}
        )
        return _settle(training, made, outcome, started_ns)


def _of_gpu(training: Training, files: Files) -> dict[str, Any] | None:
    """The record of its card; None where there is none."""
    places = files.missing if files.places is None else files.places
    record = gpu_record(training.plan.here, training.accelerator, places, training.plan.root)
    return asdict(record) if record else None


def _deployment(training: Training) -> dict[str, Any]:
    """How it was run: natively, or in which image whose labels carry pins; whether by a scheduler."""
    image = training.image
    seen = {"name": image.name, "sha256": image.sha256, "labels": image.labels} if image else None
    deployment = training.plan.experiment.deployment
    return {"deployment": deployment, "image": seen, "scheduled": bool(training.job)}


def _warm_up(training: Training, home: Path) -> tuple[Outcome, dict[str, Any]]:
    """A short training of the same kind, so that the first counted one does not pay for cold files."""
    folder = training.folder / "warm_up"
    folder.mkdir()
    whole = training.work(folder)
    examples = _warm_up_examples(training.plan.experiment.warm_up_examples, whole)
    work = replace(whole, epochs=1, linger_s=0.0, train_limit=examples)
    if training.plan.engine(training.run.engine).file.test_limit:
        work = replace(work, test_limit=examples)
    started_s = time.monotonic()
    outcome = make_attempt(training, work, folder, home)
    if outcome.reason:
        outcome = Outcome(outcome.reason, f"in the warm-up: {outcome.detail}")
    return outcome, {"examples": examples, "wall_s": time.monotonic() - started_s}


def _warm_up_examples(asked: int, whole: Work) -> int:
    """How many examples to train, and to judge where the engine can: never less than one batch.

    Where a sample is trained, a step takes long; one step reads and compiles all that a training does.
    """
    return whole.batch_size if whole.train_limit is not None else max(asked, whole.batch_size)


def make_attempt(
    training: Training, work: Work, folder: Path, home: Path, mapped: Path | None = None
) -> Outcome:
    """Start the engine under the sidecar, with its own home folder; wait, and judge how it ended.

    `mapped`: where the sampler writes which files were mapped as code.
    """
    if unseen := _unseen(training, work):
        return unseen
    kills_before = kernel_counts().get("oom_kill", 0)
    try:
        summary = _run_beside_sidecar(training, work, folder, home, mapped)
    except SidecarError as error:
        return Outcome("interrupted", f"{error}; last line: {last_line(folder / LOG)}")
    outcome = process_outcome(summary, kernel_counts().get("oom_kill", 0) - kills_before)
    if outcome.reason in {"crashed", "killed-by-signal"}:
        # Its disk may have gone meanwhile.
        if unseen := _unseen(training, work):
            return unseen
        return said_by_engine(outcome, folder / LOG)
    return outcome if outcome.reason else _judge_events(training, work)


def said_by_engine(outcome: Outcome, log: Path) -> Outcome:
    """A crash with the last line of its log; one for want of the card's memory has a reason of its own."""
    detail = f"{outcome.detail}; last line: {last_line(log)}"
    if outcome.reason == "crashed" and (line := line_with(log, NO_GPU_MEMORY)):
        return Outcome("gpu-out-of-memory", f"{outcome.detail}; it says: {line}")
    return Outcome(outcome.reason, detail)


def _unseen(training: Training, work: Work) -> Outcome | None:
    """The outcome where the prepared data cannot be read from here; an engine would only crash."""
    try:
        require_seen(training.plan.root / work.dataset)
    except EvengroundError as error:
        return Outcome("data-not-seen", f"its data cannot be seen from where it runs: {error}")
    return None


def _run_beside_sidecar(
    training: Training, work: Work, folder: Path, home: Path, mapped: Path | None
) -> Summary:
    given = training.plan.experiment
    with bounded(folder / LOG) as log:
        return sidecar.run(
            [*training.command, *work.arguments()],
            samples=folder / "samples.csv",
            header=folder / "samples.json",
            mapped=mapped,
            rate_hz=given.sampling_rate_hz,
            time_limit_s=given.time_limit_s,
            cpus=None if training.cpus.is_whole else training.cpus.chosen,
            # Where no card is chosen, nobody's is read; without a driver the sidecar says so itself.
            gpu=training.card is not None or not has_library(),
            card=training.card,
            env=training.variables(home),
            cwd=training.plan.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _judge_events(training: Training, work: Work) -> Outcome:
    dataset = read_json(training.plan.root / work.dataset / "dataset.json")
    train_examples, test_examples = dataset["train_examples"], dataset["test_examples"]
    expected = Expected(
        epochs=work.epochs,
        batch_size=work.batch_size,
        network=work.network,
        seed=work.seed,
        train_examples=min(train_examples, work.train_limit or train_examples),
        test_examples=min(test_examples, work.test_limit or test_examples),
        linger_s=work.linger_s,
        accelerator=training.accelerator,
    )
    try:
        read_folder(work.events.parent, expected)
    except RecordError as error:
        return Outcome(error.reason, str(error))
    return Outcome(None)


def _settle(training: Training, made: Path, outcome: Outcome, started_ns: int) -> Outcome:
    """Write the outcome; move a finished run to its place, whole, and keep a failed one for its log."""
    deployment = training.plan.experiment.deployment
    ended = outcome_content(training.run.path, training.attempt, deployment, outcome, started_ns)
    if outcome.reason is None:
        write_json(made / OUTCOME, ended)
        files = {path.name: sha256_file(path) for path in sorted(made.iterdir())}
        write_json(made / "manifest.json", {"schema": SCHEMA, "run": ended["run"], "files": files})
        move(made, training.run_dir)
        shutil.rmtree(training.folder / "warm_up", ignore_errors=True)
    write_json(training.folder / OUTCOME, ended)
    return outcome


def headline(folder: Path) -> str:
    """Training time and test accuracy of the finished run in `folder`, for the terminal."""
    moments = read_folder(folder, Expected()).moments
    training_s = (moments.train_end_ns - moments.train_start_ns) / 1e9
    return f"trained in {training_s:.2f} s, test accuracy {moments.test_accuracy:.4f}"
