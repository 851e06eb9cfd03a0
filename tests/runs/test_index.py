"""The index: what became of each wanted run, and what is never put together."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.synthetic import (
    T0_NS,
    Made,
    made_sheet,
    write_manifest,
    write_run,
    write_sheet,
)
from evenground.errors import EvengroundError
from evenground.records.environment import Environment, Image
from evenground.records.plan import PlanFile
from evenground.runs.index import build_index, missed_goals
from evenground.runs.plan import RUNS
from made_records import MACHINE, SHEET, made_plan, made_planned, made_run, plan_of
from made_run_records import CALIBRATION, RUN, made_outcome


def plan(engines: dict[str, int]) -> PlanFile:
    """A plan that wants so many runs of each engine."""
    runs = []
    for engine, count in engines.items():
        runs += [made_run(engine, number) for number in range(1, count + 1)]
    return made_plan(*runs)


def finish(
    root: Path,
    engine: str,
    number: int,
    digest: str | None,
    lock: str = "a",
    scheduled: bool = False,
    key: str = "k1",
) -> None:
    """Let a run be finished, in the image of that digest."""
    folder = root / RUNS / made_run(engine, number, key=key).path
    labels = {"evenground.lock": lock}
    image = Image(name="i", sha256=digest, labels=labels) if digest else None
    Environment(image=image, scheduled=scheduled).write(folder / "environment.json")
    made_outcome().write(folder / "outcome.json")
    write_run(folder, Made(), T0_NS + 10**10, RUN.model_dump())


def test_a_contact_sheet_is_named_with_its_checksum_if_there_is_one(tmp_path: Path) -> None:
    assert build_index(plan({"a": 1}), tmp_path).first.datasets[0].contact_sheet is None
    named = write_sheet(tmp_path, SHEET, made_sheet("01"))
    sheet = build_index(plan({"a": 1}), tmp_path).first.datasets[0].contact_sheet
    assert sheet and sheet.model_dump() == named


def test_each_engine_has_an_image_of_its_own(tmp_path: Path) -> None:
    for engine, digest in (("a", "1" * 64), ("b", "2" * 64)):
        finish(tmp_path, engine, 1, digest, engine)
        finish(tmp_path, engine, 2, digest, engine)
    index = build_index(plan({"a": 2, "b": 2}), tmp_path)
    assert len(index.finished) == len(index.runs) == 4


def test_runs_of_one_engine_in_two_images_are_refused(tmp_path: Path) -> None:
    finish(tmp_path, "a", 1, "1" * 64)
    finish(tmp_path, "a", 2, "2" * 64)
    with pytest.raises(
        EvengroundError, match=r"runs of 'a' were made in two images: sha256:1{12} .*sha256:2{12}"
    ):
        build_index(plan({"a": 2}), tmp_path)


def test_arms_of_one_engine_in_two_images_are_refused(tmp_path: Path) -> None:
    finish(tmp_path, "a", 1, "1" * 64)
    finish(tmp_path, "arm", 1, "2" * 64)
    with pytest.raises(EvengroundError, match="two images"):
        build_index(plan({"a": 1, "arm": 1}), tmp_path)


def test_runs_that_a_scheduler_placed_are_no_blocks_wherever_they_are_drawn(tmp_path: Path) -> None:
    finish(tmp_path, "a", 1, None)
    assert build_index(plan({"a": 1}), tmp_path).first.report.design == "blocks"
    finish(tmp_path, "a", 2, None, scheduled=True)
    assert build_index(plan({"a": 2}), tmp_path).first.report.design == "independent"


def test_native_and_missing_runs_have_no_image(tmp_path: Path) -> None:
    finish(tmp_path, "a", 1, None)
    assert len(build_index(plan({"a": 2}), tmp_path).first.unfinished) == 1


def sweep() -> PlanFile:
    """A plan of two values, with a run of each."""
    conditions = []
    for number, key in ((1, "k1"), (2, "k2")):
        run = made_run(key=key, order=number)
        calibration = f"results/calibration/made/{key}.json"
        values = {"epochs": number}
        conditions.append(made_planned(run, values=values, calibration=calibration))
    return plan_of(*conditions)


def test_each_condition_has_what_became_of_its_own_runs(tmp_path: Path) -> None:
    finish(tmp_path, "a", 1, None, key="k2", scheduled=True)
    index = build_index(sweep(), tmp_path)
    assert index.swept == ("epochs",) and list(index.named) == ["epochs-1", "epochs-2"]
    first, second = index.conditions
    assert (first.values, second.values) == ({"epochs": 1}, {"epochs": 2})
    assert [run.status for run in index.runs] == ["missing", "finished"]
    assert (first.report.design, second.report.design) == ("blocks", "independent")
    assert index.root == first.root == second.root == tmp_path


def test_a_goal_that_any_calibration_misses_is_named(tmp_path: Path) -> None:
    plan = sweep()
    assert missed_goals(build_index(plan, tmp_path)) == set()
    (figure,) = CALIBRATION.figures.values()
    for condition, missed in zip(plan.conditions, ("ba", "a"), strict=True):
        figures = {
            what: figure.model_copy(update={"what": what, "passed": False}) for what in missed
        }
        made = CALIBRATION.model_copy(update={"figures": figures})
        made.write(tmp_path / condition.calibration)
    assert missed_goals(build_index(plan, tmp_path)) == {"a", "b"}


def test_two_machines_have_a_calibration_each_and_one_contact_sheet(tmp_path: Path) -> None:
    write_sheet(tmp_path, SHEET, made_sheet("01"))
    conditions = []
    for name in ("m-nogpu-1", "n-nogpu-1"):
        machine = MACHINE.model_copy(update={"class_name": name})
        calibration = f"results/calibration/{name}/x.json"
        CALIBRATION.write(tmp_path / calibration)
        run = made_run(machine=name)
        conditions.append(made_planned(run, machine=machine, calibration=calibration))
    index = build_index(plan_of(*conditions), tmp_path)
    assert list(index.named) == ["m-nogpu-1", "n-nogpu-1"]
    assert [machine.class_name for machine in index.machines] == ["m-nogpu-1", "n-nogpu-1"]
    assert [file.path for file in index.files_beside] == [
        "results/calibration/m-nogpu-1/x.json",
        "results/calibration/n-nogpu-1/x.json",
        SHEET,
    ]


def test_runs_of_two_conditions_in_two_images_are_refused(tmp_path: Path) -> None:
    finish(tmp_path, "a", 1, "1" * 64)
    finish(tmp_path, "a", 1, "2" * 64, key="k2")
    with pytest.raises(EvengroundError, match="two images"):
        build_index(sweep(), tmp_path)


def test_an_index_names_no_place_of_this_machine(tmp_path: Path) -> None:
    build_index(plan({"a": 1}), tmp_path).write(tmp_path / "index.json")
    assert "elsewhere" not in (tmp_path / "index.json").read_text()


def test_a_recorded_run_that_cannot_be_read_is_failed_and_hides_no_other(
    tmp_path: Path,
) -> None:
    finish(tmp_path, "a", 1, None)
    finish(tmp_path, "a", 2, None)
    folder = tmp_path / RUNS / made_run("a", 2).path
    events = (folder / "events.jsonl").read_text().replace('"loss": 2.3', '"loss": 1e300')
    (folder / "events.jsonl").write_text(events)
    write_manifest(folder, RUN.model_dump())
    first, second = build_index(plan({"a": 2}), tmp_path).runs
    assert first.status == "finished"
    assert (second.status, second.path) == ("failed", None)
    assert str(second.reason).startswith(
        "unreadable: broken-events: line 6: first_batch_end.loss: "
    )
    assert (folder / "manifest.json").is_file()
