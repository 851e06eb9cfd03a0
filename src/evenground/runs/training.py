"""One training: warm-up, the sidecar beside it, how it ended, the move to its run directory."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evenground import logs, sidecar
from evenground.cpus.choice import Choice, choose
from evenground.cpus.watch import Watch
from evenground.datasets.storage import require_seen
from evenground.engines import Engine
from evenground.errors import EvengroundError
from evenground.files import empty_folder, move, sha256_file
from evenground.records.dataset import PREPARED, Prepared
from evenground.records.environment import ENVIRONMENT, Environment, Git, Image, WarmUp
from evenground.records.events import Expected
from evenground.records.faults import RecordError
from evenground.records.image import ImageRecord
from evenground.records.manifest import MANIFEST, Manifest
from evenground.records.outcome import OUTCOME, AttemptOutcome
from evenground.records.spec import IN_RUN, Specification
from evenground.records.times import EVENTS, HEADER, SAMPLES, read_folder
from evenground.runs.attempt import ended, leave_mark
from evenground.runs.command import Work
from evenground.runs.gpu import gpu_record
from evenground.runs.log import NO_GPU_MEMORY, bounded, last_line, line_with
from evenground.runs.machine import Machine, kernel_counts, swapped_pages
from evenground.runs.outcome import Outcome, process_outcome
from evenground.runs.plan import ATTEMPTS, RUNS
from evenground.runs.record import environment_record
from evenground.runs.surroundings import mapped_files, surroundings_of
from evenground.runs.variables import home_folder, of_an_engine, programs_of
from evenground.sidecar import SidecarError, Summary
from evenground.sidecar.gpu import has_library

LOCK = "evenground-training"
LOG = "train.log"
MAPPED = "mapped.json"
LOCK_POLL_S = 0.2


@dataclass(frozen=True)
class Training:
    """A wanted run, and what this machine and this invocation add to its specification."""

    root: Path
    """The working copy."""
    spec: Specification
    machine: str
    """The class of machine that it is wanted on."""
    repetition: int
    attempt: int
    engine: Engine
    here: Machine
    time_limit_s: float
    python: Path | None
    """The interpreter of the engine's environment, if it has one."""
    cold: bool = False
    """Whether what it reads may not be in memory yet: then it needs a warm-up."""
    image: ImageRecord | None = None
    """The container image this runs in; None natively."""
    container: str = ""
    """Apptainer's name of it: the file that it mounted, or a folder that it was unpacked to."""
    mounted: Sequence[str] = ()
    """Mount points of the machine itself below the working copy."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Commit of the working copy and whether it was changed: `record.source_state`."""
    job: str = ""
    """The scheduler's number of this job; empty without a scheduler."""

    @property
    def run_path(self) -> Path:
        """Its folder below `results/runs` and `results/attempts`."""
        return self.spec.run_path(self.machine, self.repetition)

    @property
    def folder(self) -> Path:
        """The folder of this attempt, outside `results/runs`."""
        return self.root / ATTEMPTS / self.run_path / str(self.attempt)

    @property
    def run_dir(self) -> Path:
        """Where the run is moved when it has finished."""
        return self.root / RUNS / self.run_path

    @property
    def warms_up(self) -> bool:
        """Whether it has a warm-up before it."""
        return self.cold and self.spec.warm_up_examples > 0

    @cached_property
    def cpus(self) -> Choice:
        """The CPUs it gets. They are chosen once: all its parts must have the same."""
        near = None
        chosen = self.here.choice.chosen
        if chosen and self.spec.accelerator == "cuda":
            near = chosen.card.near_cpus
        return choose(self.spec.threads, near=near or ())

    @property
    def card(self) -> str | None:
        """UUID of the card that it gets, or that is in the machine unused; None without a card."""
        chosen = self.here.choice.chosen
        return chosen.uuid if chosen else None

    def variables(self, home: Path) -> dict[str, str]:
        """All environment variables of its engine."""
        return of_an_engine(
            threads=len(self.cpus.chosen),
            home=home,
            programs=programs_of(self.engine),
            in_image=self.image is not None,
            accelerator=self.spec.accelerator,
        )

    def work(self, folder: Path) -> Work:
        """What the engine has to do; its events go to `folder`."""
        return Work(
            dataset=self.spec.prepared,
            network=self.spec.dataset.network,
            epochs=self.spec.epochs,
            batch_size=self.spec.batch_size,
            learning_rate=self.spec.learning_rate,
            seed=self.spec.seed + self.repetition,
            threads=len(self.cpus.chosen),
            accelerator=self.spec.accelerator,
            linger_s=self.spec.linger_s,
            events=folder / EVENTS,
            train_limit=self.spec.engine.train_limit,
            options=self.spec.engine.options,
        )


@contextmanager
def alone(name: str = LOCK) -> Iterator[None]:
    """Hold the machine's training lock: two trainings never run at once, whoever started them.

    The lock is a socket's name in Linux's abstract namespace: every user of this machine sees the
    same one, and so do containers that share its network, as Apptainer's do, though their cache is
    another folder. It needs no file, and the kernel frees it when its holder ends in any way.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        if not _taken(lock, name):
            logs.info("waiting for another training on this machine to end ...")
            while not _taken(lock, name):
                time.sleep(LOCK_POLL_S)
        yield


def _taken(lock: socket.socket, name: str) -> bool:
    """Take the name for the socket; False if another process has it."""
    try:
        # The null byte makes the name an abstract one.
        lock.bind(f"\0{name}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def train(training: Training, lock: str = LOCK) -> Outcome:
    """Make one attempt at a run: write its outcome, and move it if it has finished."""
    # It exists already: Snakemake makes the folder of a job's output.
    empty_folder(training.folder)
    made = training.folder / "run"
    made.mkdir()
    training.spec.write(made / IN_RUN)
    leave_mark(training.folder, training.spec.deployment, training.job)
    with alone(lock), home_folder(lock) as home:
        record = environment_record(training.here, training.python)
        started_ns = time.time_ns()
        outcome = Outcome(None)
        if training.warms_up:
            outcome, warm_up = _warm_up(training, home)
            record = record.model_copy(update={"warm_up": warm_up})
        if outcome.reason is None:
            outcome, record = _measured(training, made, home, record)
        record.model_copy(update=_deployment(training)).write(made / ENVIRONMENT)
        return _settle(training, made, outcome, started_ns)


def _measured(
    training: Training, made: Path, home: Path, record: Environment
) -> tuple[Outcome, Environment]:
    """Make the training that counts, and add to `record` what happened on the machine meanwhile."""
    # Outside the run: it has paths of this machine.
    mapped = training.folder / MAPPED
    before = kernel_counts()
    watch = Watch(training.cpus)
    outcome = make_attempt(training, training.work(made), made, home, mapped)
    swapped = swapped_pages(before, kernel_counts())
    cpus = watch.end()
    files = mapped_files(training, home, mapped)
    places = files.missing if files.places is None else files.places
    happened = {
        "swapped_pages": swapped,
        "cpus": cpus,
        "surroundings": surroundings_of(training, home, files),
        "gpu": gpu_record(training.here, training.spec.accelerator, places, training.root),
    }
    return outcome, record.model_copy(update=happened)


def _deployment(training: Training) -> dict[str, Any]:
    """How it was run: natively or in an image, whose labels have the pins; and of which source."""
    image = None
    if training.image:
        file = training.image
        image = Image(name=file.name, sha256=file.sha256, labels=file.labels)
    return {
        "deployment": training.spec.deployment,
        "image": image,
        "scheduled": bool(training.job),
        "git": Git.model_validate(training.source),
    }


def _warm_up(training: Training, home: Path) -> tuple[Outcome, WarmUp]:
    """A short training of the same kind: the one that counts must not pay for cold files."""
    folder = training.folder / "warm_up"
    folder.mkdir()
    work = training.work(folder)
    # Never less than one batch: a step reads and compiles all that a training does.
    examples = work.batch_size
    # With a limit a step takes long, and one step has to do.
    if work.train_limit is None:
        examples = max(training.spec.warm_up_examples, examples)
    work = replace(work, epochs=1, linger_s=0.0, train_limit=examples)
    if training.engine.file.test_limit:
        work = replace(work, test_limit=examples)
    started_s = time.monotonic()
    outcome = make_attempt(training, work, folder, home)
    if outcome.reason:
        outcome = Outcome(outcome.reason, f"in the warm-up: {outcome.detail}")
    return outcome, WarmUp(examples=examples, wall_s=time.monotonic() - started_s)


def make_attempt(
    training: Training, work: Work, folder: Path, home: Path, mapped: Path | None = None
) -> Outcome:
    """Start the engine under the sidecar, with its own home folder; wait, and judge how it ended.

    `mapped`: the file for the sampler's list of files that were mapped as code.
    """
    unseen = _unseen(training, work)
    if unseen:
        return unseen
    # The kernel says only how many processes it killed, so the count is compared.
    kills_before = kernel_counts().get("oom_kill", 0)
    try:
        summary = _run_beside_sidecar(training, work, folder, home, mapped)
    except SidecarError as error:
        return Outcome("interrupted", f"{error}; last line: {last_line(folder / LOG)}")
    outcome = process_outcome(summary, kernel_counts().get("oom_kill", 0) - kills_before)
    if outcome.reason in {"crashed", "killed-by-signal"}:
        # The disk of its data may have gone meanwhile.
        return _unseen(training, work) or said_by_engine(outcome, folder / LOG)
    if outcome.reason:
        return outcome
    return _judge_events(training, work)


def said_by_engine(outcome: Outcome, log: Path) -> Outcome:
    """A crash with the last line of its log; one without GPU memory has a reason of its own."""
    if outcome.reason == "crashed":
        line = line_with(log, NO_GPU_MEMORY)
        if line:
            return Outcome("gpu-out-of-memory", f"{outcome.detail}; it says: {line}")
    return Outcome(outcome.reason, f"{outcome.detail}; last line: {last_line(log)}")


def _unseen(training: Training, work: Work) -> Outcome | None:
    """The outcome if the prepared data cannot be read from here; an engine would only crash."""
    try:
        require_seen(training.root / work.dataset)
    except EvengroundError as error:
        return Outcome("data-not-seen", f"its data cannot be seen from where it runs: {error}")
    return None


def _run_beside_sidecar(
    training: Training, work: Work, folder: Path, home: Path, mapped: Path | None
) -> Summary:
    with bounded(folder / LOG) as log:
        return sidecar.run(
            training.engine.command(str(training.python)) + work.arguments(),
            samples=folder / SAMPLES,
            header=folder / HEADER,
            mapped=mapped,
            rate_hz=training.spec.sampling_rate_hz,
            time_limit_s=training.time_limit_s,
            cpus=None if training.cpus.is_whole else training.cpus.chosen,
            # If none of the machine's cards is chosen, none is read. Without a driver the sidecar
            # itself records that there is no GPU.
            gpu=training.card is not None or not has_library(),
            card=training.card,
            env=training.variables(home),
            cwd=training.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _judge_events(training: Training, work: Work) -> Outcome:
    """Whether the engine's events are complete, in order, and of the work that it had to do."""
    dataset = Prepared.read(training.root / work.dataset / PREPARED)
    train_examples, test_examples = dataset.train_examples, dataset.test_examples
    expected = Expected(
        epochs=work.epochs,
        batch_size=work.batch_size,
        network=work.network,
        seed=work.seed,
        train_examples=min(train_examples, work.train_limit or train_examples),
        test_examples=min(test_examples, work.test_limit or test_examples),
        linger_s=work.linger_s,
        accelerator=training.spec.accelerator,
    )
    try:
        read_folder(work.events.parent, expected)
    except RecordError as error:
        return Outcome(error.reason, str(error))
    return Outcome(None)


def _settle(training: Training, made: Path, outcome: Outcome, started_ns: int) -> Outcome:
    """Write the outcome, and move a finished run; a failed one stays, for its log."""
    record = record_of(training, outcome, started_ns)
    if outcome.reason is None:
        record.write(made / OUTCOME)
        files = {path.name: sha256_file(path) for path in sorted(made.iterdir())}
        Manifest(run=record.run, files=files).write(made / MANIFEST)
        # In one step: what stands in `results/runs` is complete.
        move(made, training.run_dir)
        shutil.rmtree(training.folder / "warm_up", ignore_errors=True)
    record.write(training.folder / OUTCOME)
    return outcome


def record_of(training: Training, outcome: Outcome, started_ns: int) -> AttemptOutcome:
    """The record of a training that ends now; `started_ns` is Unix time."""
    deployment = training.spec.deployment
    return ended(training.run_path, training.attempt, deployment, outcome, started_ns)


def headline(folder: Path) -> str:
    """Training time and test accuracy of the finished run in `folder`, for the log."""
    moments = read_folder(folder, Expected()).moments
    training_s = (moments.train_end_ns - moments.train_start_ns) / 1e9
    return f"trained in {training_s:.2f} s, test accuracy {moments.test_accuracy:.4f}"
