"""The key of a run: a digest of all that decides its result and is known before anything is fetched."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from evenground.config import Experiment
from evenground.datasets.registry import DatasetEntry, prepared_fingerprint
from evenground.engines import Engine
from evenground.errors import EvengroundError
from evenground.files import sha256_file, sha256_json, sha256_tree
from evenground.gpus.record import Accelerator
from evenground.images import recipe

SCHEMA = 1
# What every training shares and what decides its result, beside the engine's own files.
SHARED_CODE = (
    "src/evenground/cpus/choice.py",
    "src/evenground/cpus/sysfs.py",
    "src/evenground/cpus/topology.py",
    "src/evenground/records/events.py",
    "src/evenground/runs/command.py",
    "src/evenground/runs/variables.py",
)
SIDECAR = "src/evenground/sidecar"


class Code:
    """Digests of the files behind keys, each taken once: thousands of keys share them.

    It remembers them for as long as it lives, so each invocation has one of its own: files change between invocations.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = cache(self._tree)
        self.file = cache(sha256_file)
        self.recipe = cache(recipe)
        self._prepared: dict[str, str] = {}

    def __reduce__(self) -> tuple[type[Code], tuple[Path]]:
        return Code, (self.root,)

    def _tree(self, *paths: Path) -> str:
        return sha256_tree(paths, self.root)

    def prepared(self, entry: DatasetEntry) -> str:
        """Fingerprint of a dataset's arrays; an invocation has one dataset of a name."""
        if entry.name not in self._prepared:
            self._prepared[entry.name] = prepared_fingerprint(entry)
        return self._prepared[entry.name]

    def shared(self) -> str:
        """What all trainings share."""
        return self.tree(*(self.root / path for path in SHARED_CODE))

    def sidecar(self) -> str:
        """The sampler; its calibration decides nothing."""
        return self.tree(*sorted((self.root / SIDECAR).glob("*.py")))

    def sidecar_and_calibration(self) -> str:
        """The sampler with its calibration."""
        return self.tree(self.root / SIDECAR)


def run_key(
    given: Experiment,
    dataset: DatasetEntry,
    engine: Engine,
    accelerator: Accelerator,
    lock: str | None,
    code: Code,
) -> str:
    """First 16 hex digits of the sha256 of all that decides a run's result and is known beforehand.

    `accelerator`: where the engine computes. `lock`: the name of its environment there, None for none. Not in
    the key: the number of repetitions, the order, other engines and datasets, which one of equal cards, time
    limit, report settings. EvengroundError where the environment or what a container needs is missing.
    """
    decides = {
        "schema": SCHEMA,
        "parameters": {
            **{
                name: getattr(given, name)
                for name in ("epochs", "batch_size", "learning_rate", "threads", "linger_s")
            },
            "accelerator": accelerator,
        },
        "seed": {"base": given.seed, "rule": "base + repetition"},
        "measurement": {
            "sampling_rate_hz": given.sampling_rate_hz,
            "warm_up_examples": given.warm_up_examples,
        },
        "network": dataset.network,
        "dataset": code.prepared(dataset),
        "engine": {
            "command": engine.file.command,
            "options": engine.options,
            "code": code.tree(*engine.sources(code.root)),
            # Only where it is set: the keys of all other runs stay what they were before there was one.
            **({} if engine.train_limit is None else {"train_limit": engine.train_limit}),
        },
        "shared_code": code.shared(),
        "sidecar": code.sidecar(),
        "environment": code.file(_lock(code.root, lock, engine)) if lock else None,
        "deployment": given.deployment,
        "image": _recipe(code, lock, engine) if given.deployment == "apptainer" else None,
    }
    return sha256_json(decides)[:16]


def _lock(root: Path, name: str, engine: Engine) -> Path:
    path = root / "envs" / f"{name}.txt"
    if not path.is_file():
        raise EvengroundError(
            f"engine '{engine.name}' wants the environment '{name}'",
            f"no envs/{name}.txt",
            f"write envs/{name}.in, then: python scripts/relock.py {name}",
        )
    return path


def _recipe(code: Code, lock: str | None, engine: Engine) -> str:
    if lock is None:
        raise EvengroundError(
            f"engine '{engine.name}' has no environment to put into a container",
            f"{engine.folder}/engine.yaml",
            "set deployment: native, or leave this engine out",
        )
    return code.recipe(code.root, lock)
