"""A training as an invocation would make it, from its plan."""

from __future__ import annotations

from pathlib import Path

from evenground.config import Experiment
from evenground.runs.plan import Plan, Run, make_plans, refuse_foreign_training
from evenground.runs.training import Training


def make_plan(experiment: Experiment, root: Path) -> Plan:
    """The plan of an experiment of one condition; engines need not be installed."""
    (plan,) = make_plans([experiment], root)
    refuse_foreign_training(plan)
    return plan


def options_of(run: Run, engine_dir: str = "tests/fake_engine") -> list[str]:
    """The options with which `scripts/train.py` makes the first attempt at a planned run."""
    return [
        f"--spec=results/specs/{run.key}.json",
        f"--machine={run.machine}",
        f"--repetition={run.repetition}",
        "--attempt=1",
        f"--engine-dir={engine_dir}",
    ]


def training_of(plan: Plan, run: Run, attempt: int = 1, cold: bool = False) -> Training:
    """A native training of a planned run, with an engine that needs no environment."""
    return Training(
        root=plan.root,
        spec=plan.specs[run.key],
        machine=plan.machine,
        repetition=run.repetition,
        attempt=attempt,
        engine=plan.engine(run.engine),
        here=plan.here,
        time_limit_s=plan.experiment.time_limit_s,
        python=None,
        cold=cold,
    )
