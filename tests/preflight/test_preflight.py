"""Preflight: every lack is seen and comes with its fix, and nothing is lacking where all is there."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from analysis.synthetic import made_sheet
from evenground.config import load_experiment
from evenground.errors import EvengroundError
from evenground.preflight import experiment, machine
from evenground.preflight.check import check
from evenground.preflight.experiment import Reachable, answers
from evenground.preflight.finding import Finding, passed
from evenground.preflight.gate import gate
from evenground.records.dataset import EmptyClasses
from evenground.records.environment import Environment
from evenground.runs.plan import RUNS, Plan, installed
from evenground.runs.study import Condition, Study
from logged import logged
from made_records import made_prepared
from made_run_records import made_outcome
from planned import make_plan
from stand_in_driver import StandIn, uuid
from working_copy import ABSENT, WorkingCopy, fresh_copy

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


def nobody(url: str) -> bool:
    return False


def everybody(url: str) -> bool:
    return True


@pytest.mark.parametrize(("available", "state"), [(16 * GIB, "ok"), (GIB, "error")])
def test_memory(available: int, state: str) -> None:
    assert machine.memory(available).state == state


@pytest.mark.parametrize(("average", "state"), [(0.2, "ok"), (1.9, "warning")])
def test_a_busy_machine_is_said(average: float, state: str) -> None:
    assert machine.load(average, cores=2).state == state


@pytest.mark.parametrize(("needed", "state"), [(1, "ok"), (2**60, "error")])
def test_disk_also_below_a_folder_that_is_not_there_yet(
    needed: int, state: str, tmp_path: Path
) -> None:
    assert machine.disk("disk", tmp_path / "not" / "there", needed).state == state


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    return fresh_copy(tmp_path / "copy")


def plan_of(copy: WorkingCopy, **changes: Any) -> Plan:
    return installed([make_plan(load_experiment({**copy.settings, **changes}), copy.root)])[0]


def checked(plan: Plan, reachable: Reachable = nobody) -> list[Finding]:
    """All that is found for an experiment of one plan."""
    return check(Study({}, (Condition("", {}, plan),)), None, [], reachable)


@pytest.fixture
def mnist(copy: WorkingCopy) -> Plan:
    """A plan with the dataset mnist, of which nothing is there."""
    return plan_of(copy, datasets=["mnist"])


def test_a_dataset_that_nobody_has_is_a_lack_that_names_hosts(mnist: Plan) -> None:
    found = experiment.dataset(mnist, "mnist", [], nobody)
    assert found.state == "error" and "train-images-idx3-ubyte.gz" in found.seen
    assert "storage.googleapis.com" in found.fix and "mirror" in found.fix


def test_a_mirror_folder_must_hold_every_file(mnist: Plan, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for file in mnist.datasets["mnist"].files:
        assert experiment.dataset(mnist, "mnist", [str(tmp_path)], nobody).state == "error"
        (tmp_path / "mnist" / file.name).touch()
    assert experiment.dataset(mnist, "mnist", [str(tmp_path)], nobody).state == "ok"


def test_hosts_are_asked_only_for_what_is_not_there(mnist: Plan, copy: WorkingCopy) -> None:
    def not_asked(url: str) -> bool:
        raise AssertionError("nothing needs to be fetched")

    raw, prepared = copy.root / mnist.raw("mnist"), copy.root / mnist.prepared("mnist")
    raw.mkdir(parents=True)
    (raw / "fetched.json").touch()
    assert experiment.dataset(mnist, "mnist", [], not_asked).seen == "fetched"
    made_prepared().write(prepared / "dataset.json")
    assert experiment.dataset(mnist, "mnist", [], not_asked).seen == "prepared"
    generated = plan_of(copy, datasets=["digits"])
    assert experiment.dataset(generated, "digits", [], not_asked).state == "ok"


def test_a_host_that_answers_and_one_that_does_not() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        url = f"http://user:word@127.0.0.1:{server.server_port}/x"
        Thread(target=server.handle_request).start()
        assert answers(url), "also with an error"
    assert not answers(url)


@pytest.mark.parametrize(
    "wrong", ["https://[mirror/x", "https://localhost:99999/x", "ftp://localhost/x"]
)
def test_an_address_that_cannot_be_asked_answers_nothing(wrong: str) -> None:
    assert not answers(wrong)


def test_a_mirror_that_cannot_be_looked_into_has_nothing(mnist: Plan) -> None:
    mirrors = ["~nobody-of-this-name/m", "x" * 5000, "https://[mirror/x"]
    assert experiment.dataset(mnist, "mnist", mirrors, nobody).state == "error"


def test_a_class_without_pictures_is_a_warning_that_names_it(
    mnist: Plan, copy: WorkingCopy
) -> None:
    empty = EmptyClasses(training=(), test=("1",))
    prepared = copy.root / mnist.prepared("mnist") / "dataset.json"
    made_prepared(classes=("0", "1"), empty_classes=empty).write(prepared)
    found = experiment.dataset(mnist, "mnist", [], nobody)
    assert found.state == "warning" and "no test picture of 1 of 2 classes: '1'" in found.seen


def test_environments_that_are_not_built_cost_disk_and_want_the_index() -> None:
    faults = {"keras": "", "jax-cuda": "two is missing"}
    found = experiment.environments(faults)
    assert (found.state, found.seen) == (
        "warning",
        "to be built: jax-cuda",
    ) and "package index" in found.fix
    assert experiment.environment_bytes(faults) == 7 * GIB
    assert experiment.environments({"keras": ""}).state == "ok"


def record(plan: Plan, seconds: float, number: int) -> None:
    """Let the wanted run of that number be finished, after so many seconds."""
    folder = plan.root / RUNS / plan.runs[number].path
    folder.mkdir(parents=True)
    ended = made_outcome(started_unix_ns=0, ended_unix_ns=round(seconds * 1e9))
    ended.write(folder / "outcome.json")
    Environment(driver="575.51.03").write(folder / "environment.json")
    (folder / "manifest.json").touch()


def test_time_is_estimated_from_recorded_runs_and_unknown_without(copy: WorkingCopy) -> None:
    plan = plan_of(copy, repetitions=3)
    seen = experiment.duration([plan]).seen
    assert seen.startswith("6 of 6 trainings to do, time unknown for tiny fake_a, tiny fake_b")
    first = plan.runs[0]
    record(plan, 100.0, 0)
    other = next(e.name for e in plan.engines if e.name != first.engine)
    seen = experiment.duration([plan_of(copy, repetitions=3)]).seen
    assert seen.startswith(f"5 of 6 trainings to do, about 3 min, time unknown for tiny {other}")
    record(plan, 5.0, next(k for k, run in enumerate(plan.runs) if run.engine == other))
    assert (
        experiment.duration([plan_of(copy, repetitions=3)]).seen
        == "4 of 6 trainings to do, about 4 min"
    )


def test_when_all_is_recorded_nothing_is_to_be_trained(copy: WorkingCopy) -> None:
    plan = plan_of(copy)
    for number in range(len(plan.runs)):
        record(plan, 1.0, number)
    assert experiment.duration([plan_of(copy)]).seen == "nothing to train: 4 of 4 runs are recorded"


def test_the_whole_of_it_and_one_lack_is_enough_to_fail(copy: WorkingCopy, mnist: Plan) -> None:
    findings = checked(plan_of(copy))
    assert passed(findings), "\n".join(finding.line() for finding in findings)
    assert {"machine", "memory", "GPU", "dataset tiny", "time"} <= {
        finding.what for finding in findings
    }
    assert not passed(checked(mnist))
    assert passed(checked(mnist, everybody))


def engines(plan: Plan) -> dict[str, tuple[str, str]]:
    return {found.what: (found.state, found.seen) for found in experiment.engines([plan])}


def test_an_engine_that_is_not_installed_is_a_warning_with_its_reason(
    copy: WorkingCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = {"engines": [*copy.settings["engines"], ABSENT], "repetitions": 1}
    plan, reason = plan_of(copy, **chosen), "no Absent in .: touch fake_installed"
    assert engines(plan) == {"engine axon": ("warning", reason)}
    assert "1 of its trainings" in experiment.engines([plan])[0].fix
    findings = checked(plan)
    assert passed(findings) and any(found.what == "engine axon" for found in findings)
    gate([plan], [])
    gate([plan], [], refuse=False)
    assert logged(capsys.readouterr().err) == 2 * [f"info: axon left out: {reason}"]


def test_every_call_names_classes_without_pictures(
    copy: WorkingCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(copy)
    prepared = copy.root / plan.prepared("tiny")
    empty = EmptyClasses(training=(), test=("class 3",))
    about = made_prepared(
        name="tiny", classes=("class 2", "class 3"), arrays={}, empty_classes=empty
    )
    about.write(prepared / "dataset.json")
    gate([plan], [])
    said = "warning: dataset 'tiny' has no test picture of 1 of 2 classes: 'class 3'"
    assert logged(capsys.readouterr().err) == [said]


def test_every_call_refuses_a_changed_contact_sheet(copy: WorkingCopy) -> None:
    plan = plan_of(copy)
    sheet = copy.root / plan.contact_sheet("tiny")
    made_sheet(["class 2", "class 3"]).write(sheet)
    gate([plan], [])
    sheet.write_text(sheet.read_text().replace("class 2", "class 1"))
    with pytest.raises(EvengroundError, match=r"contact sheet was changed .*evenground aside"):
        gate([plan], [])


def test_an_installed_engine_is_no_finding_and_the_recorded_runs_of_another_stay(
    copy: WorkingCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = {"engines": [ABSENT], "repetitions": 2}
    (copy.root / "fake_installed").touch()
    plan = plan_of(copy, **chosen)
    assert engines(plan) == {}
    (copy.root / "fake_installed").unlink()
    record(plan, 1.0, 0)
    plan = plan_of(copy, **chosen)
    assert engines(plan)["engine axon"][0] == "warning"
    assert [run.repetition for run in plan.runs] == [1]
    gate([plan], [], refuse=False)
    (line,) = logged(capsys.readouterr().err)
    assert line.startswith("info: axon left out (its recorded runs stay): no Absent in .")
    assert engines(plan_of(copy, **{**chosen, "repetitions": 1})) == {}


def test_a_finding_is_one_line_with_its_mend() -> None:
    assert (
        Finding("disk", "error", "1 GiB free", "make room").line()
        == " NO  disk: 1 GiB free -> make room"
    )
    assert Finding("disk", "ok", "9 GiB free").line() == " ok  disk: 9 GiB free"


def test_from_the_command_line(copy: WorkingCopy) -> None:
    done = copy.call("--cores", "1", "preflight")
    said = [line for line in done.stdout.splitlines() if line.startswith((" ok", "  !", " NO"))]
    assert any("dataset tiny: generated here" in line for line in said) and not copy.trainings()
    copy.settings["datasets"] = ["mnist"]
    copy.settings["mirrors"] = ["https://localhost:9"]
    done = copy.call("--cores", "1", "preflight", ok=False)
    assert " NO  dataset mnist: not available from any mirror or host: " in done.stdout


@pytest.mark.slow
def test_a_gpu_from_the_command_line(copy: WorkingCopy, stand_in: StandIn) -> None:
    copy.variables = stand_in.env()
    said = copy.call("--cores", "1", "preflight").stdout
    assert f" ok  GPU: Fake Card, card 0 of 2, {uuid(0)}, " in said
    assert " ok  CUDA: a context on the card, and a MiB written and read there" in said
    stand_in.answers("fail.InitWithFlags 18\n")
    said = copy.call("--cores", "1", "preflight", ok=False).stdout
    assert " NO  GPU: NVML: nvmlInit: " in said and " CUDA: " not in said
    done = copy.call("--cores", "1", ok=False)
    refused = [line for line in done.stderr.splitlines() if "error: GPU: NVML: nvmlInit: " in line]
    assert len(refused) == 1 and "(accelerator: auto): restart this machine" in refused[0]
    assert "Traceback" not in done.stderr and not copy.trainings()
