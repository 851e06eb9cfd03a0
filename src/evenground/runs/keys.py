"""The specification of a run: all that decides its result and is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from evenground import digests
from evenground.config import Experiment
from evenground.containers.images import recipe
from evenground.datasets.registry import DatasetEntry, prepared_fingerprint
from evenground.engines import DESCRIPTION, Engine
from evenground.errors import EvengroundError
from evenground.files import sha256_file, sha256_json
from evenground.locks import parse_lock
from evenground.records.gpus import Accelerator
from evenground.records.spec import DatasetOfRun, EngineOfRun, LockOfRun, Specification
from evenground.records.versions import PROTOCOL
from evenground.sidecar import MEASUREMENT

# What all trainings share and what decides their results, apart from the engine's own files.
SHARED_CODE = (
    "src/evenground/cpus/choice.py",
    "src/evenground/cpus/sysfs.py",
    "src/evenground/cpus/topology.py",
    "src/evenground/runs/command.py",
    "src/evenground/runs/variables.py",
    # Reads the lists of CPUs for `sysfs.py`.
    "src/evenground/sidecar/cpus.py",
)
CALIBRATION = "src/evenground/sidecar/calibration"
T = TypeVar("T")


class Code:
    """Digests of the files behind keys, each taken once: thousands of keys share them.

    Files change between invocations, so each has a `Code` of its own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._taken: dict[object, object] = {}

    def _once(self, name: object, take: Callable[[], T]) -> T:
        if name not in self._taken:
            self._taken[name] = take()
        return cast(T, self._taken[name])

    def shared(self) -> dict[str, str]:
        """File of what starts every engine -> its digest."""
        paths = [self.root / path for path in SHARED_CODE]
        return self._once("shared", lambda: digests.named(paths, self.root))

    def engine(self, engine: Engine) -> dict[str, str]:
        """File of an engine's code -> its digest, without `engine.yaml`.

        The specification has what of that decides, and not the label.
        """
        sources = engine.sources(self.root)
        code = self._once(("engine", engine.folder), lambda: digests.named(sources, self.root))
        own = f"{engine.folder.name}/{DESCRIPTION}"
        return {name: digest for name, digest in code.items() if not name.endswith(own)}

    def lock(self, engine: Engine, name: str) -> LockOfRun:
        """The lock of an engine's environment; raises EvengroundError if there is none."""
        return self._once(("lock", name), lambda: _lock(self.root, name, engine))

    def recipe(self, lock: str) -> str:
        """Digest of what the image of an environment is built from."""
        return self._once(("recipe", lock), lambda: recipe(self.root, lock))

    def prepared(self, entry: DatasetEntry) -> str:
        """Fingerprint of a dataset's arrays; dataset names are unique within an invocation."""
        return self._once(("prepared", entry.name), lambda: prepared_fingerprint(entry))

    def calibration(self) -> str:
        """Digest of how the sampler is calibrated; it decides no result."""
        paths = [self.root / CALIBRATION]
        tree = self._once("calibration", lambda: digests.tree(paths, self.root))
        return sha256_json([MEASUREMENT, tree])


def specification(
    experiment: Experiment,
    dataset: DatasetEntry,
    engine: Engine,
    accelerator: Accelerator,
    lock: str | None,
    code: Code,
) -> Specification:
    """All that decides the result of an engine's runs on a dataset.

    `accelerator`: where the engine computes. `lock`: the name of its environment there, None
    without one. Raises EvengroundError if the environment, or what a container needs, is missing.
    """
    image = None
    if experiment.deployment == "apptainer":
        image = _image_recipe(code, lock, engine)
    return Specification(
        dataset=DatasetOfRun(
            name=dataset.name, network=dataset.network, prepared=code.prepared(dataset)
        ),
        engine=EngineOfRun(
            name=engine.name,
            command=tuple(engine.file.command),
            options=engine.options,
            train_limit=engine.train_limit,
            test_limit=engine.file.test_limit,
            code=code.engine(engine),
        ),
        accelerator=accelerator,
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        learning_rate=experiment.learning_rate,
        seed=experiment.seed,
        threads=experiment.threads,
        linger_s=experiment.linger_s,
        sampling_rate_hz=experiment.sampling_rate_hz,
        warm_up_examples=experiment.warm_up_examples,
        measurement=MEASUREMENT,
        protocol=PROTOCOL,
        shared_code=code.shared(),
        environment=code.lock(engine, lock) if lock else None,
        deployment=experiment.deployment,
        image=image,
    )


def refuse_changed(spec: Specification, engine: Engine, root: Path) -> None:
    """Raise EvengroundError if a file that decides the result is not what the plan saw."""
    code = Code(root)
    was = spec.engine.code | spec.shared_code
    now = code.engine(engine) | code.shared()
    changed = sorted(name for name in was | now if was.get(name) != now.get(name))
    described = (spec.engine.command, spec.engine.test_limit)
    if described != (tuple(engine.file.command), engine.file.test_limit):
        changed.append(f"{engine.folder}/{DESCRIPTION}")
    if spec.environment and code.lock(engine, spec.environment.name) != spec.environment:
        changed.append(f"envs/{spec.environment.name}.txt")
    if changed:
        what = "a source changed since the invocation planned this run"
        raise EvengroundError(what, changed[0], "run again: it is then planned anew")


def _lock(root: Path, name: str, engine: Engine) -> LockOfRun:
    path = root / "envs" / f"{name}.txt"
    if not path.is_file():
        raise EvengroundError(
            f"engine '{engine.name}' wants the environment '{name}'",
            f"no envs/{name}.txt",
            f"write envs/{name}.in, then: python scripts/relock.py {name}",
        )
    allowed = parse_lock(path.read_text(encoding="utf-8"))
    packages = {package: " or ".join(sorted(allowed[package])) for package in sorted(allowed)}
    return LockOfRun(name=name, packages=packages, sha256=sha256_file(path))


def _image_recipe(code: Code, lock: str | None, engine: Engine) -> str:
    if lock is None:
        raise EvengroundError(
            f"engine '{engine.name}' has no environment to put into a container",
            f"{engine.folder}/engine.yaml",
            "set deployment: native, or leave this engine out",
        )
    return code.recipe(lock)
