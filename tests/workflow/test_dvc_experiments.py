"""Two deployments in turn, `dvc exp run` in the workspace and beside it, and runs that DVC does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dvc_workspace import OUT, Workspace, new_workspace, trained
from evenground.preflight import containers
from fake_image import fake_base, locked_engines


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """As in test_dvc.py, but one engine with an environment, which stands in the cache, and a container."""
    folder = tmp_path_factory.mktemp("experiments")
    space = new_workspace(folder)
    space.copy.settings |= {"engines": locked_engines(space.root)[:1], "warm_up_examples": 0}
    space.copy.calibrated("apptainer")
    return trained(space, 1)


def runs(space: Workspace) -> set[Path]:
    return {path.parent for path in (space.root / "results/runs").rglob("manifest.json")}


def deployments(space: Workspace) -> list[str]:
    """How each run of the present index was made, as the run itself says."""
    (condition,) = json.loads((space.out / "index.json").read_text())["conditions"]
    records = [
        json.loads((space.root / run["path"] / "environment.json").read_text())
        for run in condition["runs"]
    ]
    return [
        f"{record['deployment']} {(record['image'] or {}).get('name', '')[:6]}".strip()
        for record in records
    ]


@pytest.mark.slow
class TestExperiments:
    """One workspace goes through all of it, in this order."""

    @pytest.mark.container
    def test_native_to_containers_and_back(self, space: Workspace, tmp_path: Path) -> None:
        for found in (containers.apptainer(), containers.container_start()):
            if found.state != "ok":
                pytest.skip(f"{found.what}: {found.seen}")
        space.variables |= fake_base(tmp_path)
        # The calibration that stands here for a measured one is made anew where an image has to be built.
        space.run("snakemake", "--cores", "1", "containers")
        before = space.tracked()
        assert deployments(space) == ["native"]
        assert space.repro(deployment="apptainer") == 1 and len(runs(space)) == 2
        assert deployments(space) == ["apptainer locked"]
        assert [run["status"] for run in space.table()] == ["finished"]

        assert space.repro(deployment="native") == 0
        after = space.tracked()
        assert {name: after[name] for name in before} == before
        space.run("snakemake", "--cores", "1", "--use-singularity")
        space.copy.settings["deployment"] = "apptainer"
        space.write_parameters()
        assert "Nothing to be done" in space.run("snakemake", "--cores", "1", "--dry-run")
        space.copy.settings["deployment"] = "native"
        space.write_parameters()

    def test_in_the_workspace(self, space: Workspace) -> None:
        before, count = space.tracked(), len(runs(space))
        space.dvc("exp", "run", "--name", "five", "-S", "epochs=5")
        assert space.copy.trainings() == 1 and space.epochs() == {5}
        made = json.loads((space.out / "metrics.json").read_text())
        (shown,) = (
            row["revs"][0]
            for branch in json.loads(space.dvc("exp", "show", "--json"))
            for row in branch["experiments"] or []
            if row["name"] == "five"
        )
        assert shown["data"]["params"]["params.yaml"]["data"]["epochs"] == 5
        assert shown["data"]["metrics"][f"{OUT}/metrics.json"]["data"] == made
        metrics = json.loads(space.dvc("metrics", "show", "--json"))[""]["data"]
        assert metrics[f"{OUT}/metrics.json"]["data"] == made

        assert space.repro(epochs=3) == 0 and space.epochs() == {3}
        after = space.tracked()
        assert len(runs(space)) == count + 1 and {name: after[name] for name in before} == before

    def test_beside_the_workspace(self, space: Workspace) -> None:
        """The temporary workspace has the runs of `dvc.lock`; what it makes comes with `dvc exp apply`."""
        space.commit()
        before, count = space.tracked(), len(runs(space))
        said = space.dvc(
            "exp", "run", "--temp", "--name", "more", "-S", "epochs=5", "-S", "repetitions=2"
        )
        assert said.count("trained in") == 1 and "building the environment" not in said
        assert space.tracked() == before and space.copy.trainings() == 0

        space.dvc("exp", "apply", "more")
        assert len(runs(space)) == count + 1 and len(space.table()) == 2 and space.epochs() == {5}
        assert space.repro(epochs=5, repetitions=2) == 0

    def test_a_run_that_dvc_does_not_know_is_kept_by_commit_and_lost_without(
        self, space: Workspace
    ) -> None:
        """DVC lays out what `dvc.lock` names, over whatever is there."""
        kept = self.plain_call(space, seed=70)
        space.dvc("commit", "--force")
        lost = self.plain_call(space, seed=80)
        space.dvc("exp", "run", "-S", "repetitions=1")
        assert space.copy.trainings() == 0
        assert kept <= runs(space) and not lost & runs(space)

    @staticmethod
    def plain_call(space: Workspace, seed: int) -> set[Path]:
        """The runs that Snakemake made without DVC."""
        before = runs(space)
        space.copy.log()
        space.run("snakemake", "--cores", "1", "runs", "--config", f"seed={seed}")
        assert space.copy.trainings() == 2
        return runs(space) - before
