"""The key of a run: a digest of all that decides its result and is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from evenground.config import Experiment
from evenground.containers.images import recipe
from evenground.datasets.registry import DatasetEntry, prepared_fingerprint
from evenground.engines import Engine
from evenground.errors import EvengroundError
from evenground.files import sha256_file, sha256_json, sha256_tree
from evenground.gpus.record import Accelerator

SCHEMA = 1
# What all trainings share and what decides their results, apart from the engine's own files.
SHARED_CODE = (
    "src/evenground/cpus/choice.py",
    "src/evenground/cpus/sysfs.py",
    "src/evenground/cpus/topology.py",
    "src/evenground/records/events.py",
    "src/evenground/runs/command.py",
    "src/evenground/runs/variables.py",
)
SIDECAR = "src/evenground/sidecar"
PARAMETERS = ("epochs", "batch_size", "learning_rate", "threads", "linger_s")


class Code:
    """Digests of the files behind keys, each taken once: thousands of keys share them.

    Files change between invocations, so each has a `Code` of its own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._digests: dict[object, str] = {}

    def _once(self, name: object, digest: Callable[[], str]) -> str:
        if name not in self._digests:
            self._digests[name] = digest()
        return self._digests[name]

    def tree(self, paths: Sequence[Path]) -> str:
        """Digest of files and folders, with their paths below the working copy."""
        return self._once(tuple(paths), lambda: sha256_tree(paths, self.root))

    def file(self, path: Path) -> str:
        """Digest of a file's content."""
        return self._once(path, lambda: sha256_file(path))

    def recipe(self, lock: str) -> str:
        """Digest of what the image of an environment is built from."""
        return self._once(("recipe", lock), lambda: recipe(self.root, lock))

    def prepared(self, entry: DatasetEntry) -> str:
        """Fingerprint of a dataset's arrays; dataset names are unique within an invocation."""
        return self._once(("prepared", entry.name), lambda: prepared_fingerprint(entry))

    def sidecar(self) -> str:
        """Digest of the sampler; its calibration, in a folder below, decides no result."""
        return self.tree(sorted((self.root / SIDECAR).glob("*.py")))

    def sidecar_and_calibration(self) -> str:
        """Digest of the sampler with its calibration."""
        return self.tree([self.root / SIDECAR])


def run_key(
    experiment: Experiment,
    dataset: DatasetEntry,
    engine: Engine,
    accelerator: Accelerator,
    lock: str | None,
    code: Code,
) -> str:
    """First 16 hex digits of the SHA-256 of all that decides a result and is known beforehand.

    `accelerator`: where the engine computes. `lock`: the name of its environment there, None
    without one. Not in the key: the number of repetitions, the order, other engines and datasets,
    which one of equal cards, the time limit, settings of the report. Raises EvengroundError if the
    environment, or what a container needs, is missing.
    """
    parameters = {name: getattr(experiment, name) for name in PARAMETERS}
    engine_decides: dict[str, object] = {
        "command": engine.file.command,
        "options": engine.options,
        "code": code.tree(engine.sources(code.root)),
    }
    # Only if it is set: all other runs keep the keys that they had before there was one.
    if engine.train_limit is not None:
        engine_decides["train_limit"] = engine.train_limit
    environment = image = None
    if lock:
        environment = code.file(_lock_file(code.root, lock, engine))
    if experiment.deployment == "apptainer":
        image = _image_recipe(code, lock, engine)
    decides = {
        "schema": SCHEMA,
        "parameters": {**parameters, "accelerator": accelerator},
        "seed": {"base": experiment.seed, "rule": "base + repetition"},
        "measurement": {
            "sampling_rate_hz": experiment.sampling_rate_hz,
            "warm_up_examples": experiment.warm_up_examples,
        },
        "network": dataset.network,
        "dataset": code.prepared(dataset),
        "engine": engine_decides,
        "shared_code": code.tree([code.root / path for path in SHARED_CODE]),
        "sidecar": code.sidecar(),
        "environment": environment,
        "deployment": experiment.deployment,
        "image": image,
    }
    return sha256_json(decides)[:16]


def _lock_file(root: Path, name: str, engine: Engine) -> Path:
    path = root / "envs" / f"{name}.txt"
    if not path.is_file():
        raise EvengroundError(
            f"engine '{engine.name}' wants the environment '{name}'",
            f"no envs/{name}.txt",
            f"write envs/{name}.in, then: python scripts/relock.py {name}",
        )
    return path


def _image_recipe(code: Code, lock: str | None, engine: Engine) -> str:
    if lock is None:
        raise EvengroundError(
            f"engine '{engine.name}' has no environment to put into a container",
            f"{engine.folder}/engine.yaml",
            "set deployment: native, or leave this engine out",
        )
    return code.recipe(lock)
