"""Machines with GPUs, as the stand-in driver makes them, through plan, training and tables."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenground.records.index import read_index
from stand_in_driver import build, uuid
from working_copy import WorkingCopy, fresh_copy, wait_until

H100 = "NVIDIA H100 80GB HBM3"
EIGHT = "cards 8\n" + "".join(
    f"name.{n} {H100}\nused.{n} {1000 + n}\nutil.{n} {10 * n}\n" for n in range(8)
)
MIXED = (
    "cards 2\nname.0 NVIDIA GeForce RTX 2060\nname.1 NVIDIA A100-PCIE-40GB\nutil.0 11\nutil.1 22\n"
)
MIG = f"cards 2\nname {H100}\nmig.1 1\ninstances.1 1\nused.1/mig0 777\nused.0 9000\n"
# A MIG instance of a card, and nothing of the other card is free.
BROKEN = "fail.InitWithFlags 18\n"
LOST = f"cards 2\nname {H100}\nfail.HandleByIndex_v2.0 15\nutil.1 33\n"
FORBIDDEN = f"cards 2\nname {H100}\nfail.HandleByIndex_v2.0 4\nutil.1 44\n"
CLASS = "import sys; from evenground.runs.machine import this_machine; print(this_machine(sys.argv[1]).name)"


@dataclass
class Site:
    """A working copy on a machine whose driver answers what a file says."""

    copy: WorkingCopy
    answers: Path

    def call(
        self, answers: str, visible: str | None = None, ok: bool = True, **settings: Any
    ) -> str:
        """Train on such a machine; what was said."""
        self.answers.write_text(answers)
        self.copy.settings |= settings
        self.copy.variables.pop("CUDA_VISIBLE_DEVICES", None)
        if visible is not None:
            self.copy.variables["CUDA_VISIBLE_DEVICES"] = visible
        self.copy.calibrated(machine=self.machine(settings.get("gpu", "auto")))
        done = self.copy.call("--cores", "1", "results/native/tables/runs.csv", ok=ok)
        return done.stdout + done.stderr

    def machine(self, gpu: str) -> str:
        """Class of the machine, as a process on it sees it."""
        words = [self.copy.python, "-c", CLASS, gpu]
        environ = {**self.copy.environ(), "PYTHONPATH": str(self.copy.root / "src")}
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def runs(self) -> list[Path]:
        """Folders of the finished runs of the last invocation."""
        index = read_index(self.copy.root / "results/native/index.json")
        return [self.copy.root / str(run.path) for run in index.finished]

    def table(self) -> list[dict[str, str]]:
        """The table of runs."""
        with (self.copy.root / "results/native/tables/runs.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One run of one fake engine; each step has an environment of its own, so that the file is built in."""
    answers = tmp_path / "driver.txt"
    answers.write_text("")
    (tmp_path / "driver").mkdir()
    driver = build(tmp_path / "driver", "cc", f'-DANSWERS="{answers}"')
    copy = fresh_copy(tmp_path / "copy")
    copy.train_once()
    copy.variables = {"LD_LIBRARY_PATH": str(driver)}
    return Site(copy, answers)


def record_of(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "environment.json").read_text())
    return record


def device_of(run: Path) -> str:
    first = (run / "events.jsonl").read_text().splitlines()[0]
    return str(json.loads(first)["device"])


def column(run: Path, name: str) -> set[float]:
    """The different values that a run's samples have."""
    with (run / "samples.csv").open(encoding="utf-8") as file:
        return {float(row[name]) for row in csv.DictReader(file) if row[name]}


@pytest.mark.slow
def test_of_eight_equal_cards_each_is_the_same_class_and_only_the_chosen_one_is_measured(
    site: Site,
) -> None:
    site.call(EIGHT, gpu="5")
    (first,) = site.runs()
    assert column(first, "gpu_util_pct") == {50} and column(first, "vram_used_bytes") == {1005}
    gpu = record_of(first)["gpu"]
    assert (gpu["uuid"], gpu["name"], gpu["cards"], gpu["accelerator"]) == (
        uuid(5),
        H100,
        8,
        "cuda",
    )
    assert device_of(first).startswith("cuda:")
    assert (
        record_of(first)["surroundings"]["variables"]["CUDA_VISIBLE_DEVICES"] == "the chosen card"
    )
    # Another card of the eight: nothing is to be trained anew.
    assert "trained in" not in site.call(EIGHT, gpu="2")
    assert site.runs() == [first]


@pytest.mark.slow
def test_of_unlike_cards_the_callers_uuid_is_chosen_and_makes_the_class(site: Site) -> None:
    said = site.call(MIXED, visible="1", ok=False)
    assert "CUDA counts the fastest card first" in said and "CUDA_DEVICE_ORDER=PCI_BUS_ID" in said
    site.call(MIXED, visible=uuid(1)[:12])
    (run,) = site.runs()
    assert "nvidia-a100-pcie-40gb" in str(run) and column(run, "gpu_util_pct") == {22}
    said = site.call(MIXED, visible="0,1", ok=False)
    assert "CUDA_VISIBLE_DEVICES=0,1 names 2 cards" in said or "CUDA counts the fastest" in said


@pytest.mark.slow
def test_of_a_mig_instance_only_what_is_its_own_is_measured(site: Site) -> None:
    site.call(MIG, gpu=uuid(1, 0))
    (run,) = site.runs()
    assert "mig-1g" in str(run)
    gpu = record_of(run)["gpu"]
    assert gpu["uuid"] == uuid(1, 0) and gpu["mig"] and gpu["name"] == H100
    assert column(run, "vram_used_bytes") == {777} and column(run, "gpu_util_pct") == set()
    header = json.loads((run / "samples.json").read_text())
    assert "MIG" in header["missing"]["gpu_util_pct"]


@pytest.mark.slow
def test_a_broken_driver_is_not_no_gpu(site: Site) -> None:
    """NVML's own words stop `auto`; who says cpu trains on the processor."""
    said = site.call(BROKEN, ok=False)
    assert "Driver/library version mismatch" in said and "Traceback" not in said
    assert site.copy.trainings() == 0
    site.call(BROKEN, accelerator="cpu")
    (run,) = site.runs()
    assert device_of(run) == "cpu" and record_of(run)["gpu"] is None
    assert json.loads((run / "samples.json").read_text())["gpu_baseline"] is None


@pytest.mark.slow
def test_cards_that_the_caller_hides_are_not_read_beside_a_training(site: Site) -> None:
    site.call(EIGHT, visible="")
    (run,) = site.runs()
    assert device_of(run) == "cpu" and "-nogpu-" in str(run)
    header = json.loads((run / "samples.json").read_text())
    assert column(run, "gpu_util_pct") == set() and header["gpu_baseline"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "util_pct"), [(LOST, 33), (FORBIDDEN, 44)], ids=["lost", "forbidden"]
)
def test_a_card_that_cannot_be_used_is_passed_over(
    site: Site, answers: str, util_pct: float
) -> None:
    said = site.call(answers)
    assert "Traceback" not in said
    (run,) = site.runs()
    assert record_of(run)["gpu"]["uuid"] == uuid(1) and column(run, "gpu_util_pct") == {util_pct}
    (row,) = site.table()
    assert row["status"] == "finished"


@pytest.mark.slow
def test_jobs_of_a_cluster_are_not_given_the_card_of_the_machine_that_submits_them(
    site: Site, tmp_path: Path
) -> None:
    """Without `nodes` they are of its class, but their cards are others."""
    site.answers.write_text(EIGHT)
    site.copy.calibrated(machine=site.machine("auto"))
    commands, seen, copy = tmp_path / "bin", tmp_path / "seen", site.copy
    commands.mkdir()
    for name in ("sacct", "sacctmgr", "sbatch", "scontrol", "sinfo", "squeue", "sshare"):
        said = (
            f'echo "card=$CUDA_VISIBLE_DEVICES" >> {seen}; exit 1' if name == "sbatch" else "exit 0"
        )
        (commands / name).write_text(f"#!/bin/sh\n{said}\n")
        (commands / name).chmod(0o755)
    copy.variables |= {"PATH": f"{commands}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "3"}
    copy.settings["threads"] = 1
    (copy.root / "settings.yaml").write_text(yaml.safe_dump(copy.settings))
    command = [copy.python, "-m", "snakemake", "--configfile", "settings.yaml"]
    command += ["--workflow-profile", "profiles/slurm", "runs"]
    command += ["--default-resources", "slurm_account=some", "slurm_partition=some", "mem_mb=100"]
    with subprocess.Popen(command, cwd=copy.root, env=copy.environ()) as called:
        wait_until(seen.is_file, 60)
        called.kill()
    assert set(seen.read_text().split()) == {"card=3"}


@pytest.mark.slow
def test_a_training_on_the_processor_where_cuda_was_planned_is_never_a_finished_run(
    site: Site,
) -> None:
    (site.copy.root / "fake_mode").write_text("on-cpu")
    said = site.call(EIGHT)
    assert "accelerator is cpu, expected cuda" in said
    assert not list((site.copy.root / "results/runs").rglob("manifest.json"))
    (row,) = site.table()
    assert (row["status"], row["reason"]) == ("failed", "wrong-work")


@pytest.mark.slow
def test_a_card_without_memory_left_is_a_reason_of_its_own(site: Site) -> None:
    (site.copy.root / "fake_mode").write_text("no-gpu-memory")
    said = site.call(EIGHT)
    assert "gpu-out-of-memory" in said and "RESOURCE_EXHAUSTED" in said
