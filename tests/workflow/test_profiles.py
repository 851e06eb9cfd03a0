"""`profiles/quick` and `profiles/slurm` replace the default profile: what all must say is held equal here."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
OF_THIS_MACHINE = {"cores"}
"""A cluster's jobs ask for the cores that the experiment names."""
OF_A_CLUSTER = {
    *("executor", "jobs", "max-jobs-per-timespan", "latency-wait", "default-resources", "resources"),
    *("groups", "group-components"),
    *("slurm-status-command", "slurm-init-seconds-before-status-checks", "slurm-no-requeue"),
}


def profile(name: str) -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
    return content


def test_quick_says_all_that_the_default_says() -> None:
    quick = profile("quick")
    assert quick.pop("configfile") == "profiles/quick/params.yaml"
    assert quick == profile("default")


def test_slurm_says_what_the_default_says_but_for_the_cluster() -> None:
    slurm, default = profile("slurm"), profile("default")
    assert slurm.keys() - default.keys() == OF_A_CLUSTER and default.keys() - slurm.keys() == OF_THIS_MACHINE
    assert {key: slurm[key] for key in default.keys() - OF_THIS_MACHINE} == {
        key: value for key, value in default.items() if key not in OF_THIS_MACHINE
    }


def test_a_lost_training_is_not_made_again_by_slurm() -> None:
    slurm = profile("slurm")
    assert slurm["executor"] == "slurm" and slurm["slurm-no-requeue"] is True
