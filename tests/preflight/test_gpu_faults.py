"""Whatever the driver answers: no exception, one line for each fault, and no value of another card."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenground.containers.pins import load_pins
from evenground.gpus import look as looking
from evenground.gpus.look import look
from evenground.preflight.finding import Finding
from evenground.preflight.gpu import findings
from evenground.runs.machine import this_machine
from evenground.runs.plan import Plan
from made_gpus import NO_SYSTEM, PLAIN, Planned, planned
from stand_in_driver import StandIn, uuid
from working_copy import ROOT, fresh_copy

__all__ = ["planned"]
PINS = load_pins(ROOT)
CODES = [*range(1, 30), 999]
ONE_CUT_UP = "cards 2\nmig.1 1\n"
OLD = "fail.MemoryInfo_v2 13\nfail.ComputeRunningProcesses_v3 13\nfail.GraphicsRunningProcesses_v3 13\n"


@pytest.fixture
def here(nvml_here: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets this process ask the stand-in driver."""
    monkeypatch.setattr(looking, "has_library", lambda: True)
    monkeypatch.setattr(looking, "load_nvml", lambda: nvml_here)
    return nvml_here


def lines(plan: Plan) -> list[Finding]:
    """What is said on this machine as it is seen now; each is one printable line."""
    machine = this_machine(environ={})
    found = findings(
        [replace(plan, here=machine, machine=machine.name)], PINS, system=NO_SYSTEM, environ={}
    )
    assert all(one.line().isprintable() for one in found)
    return found


def calls_of(nvml: Any, stand_in: StandIn) -> list[str]:
    """Every function of the driver that is asked of such cards, as the stand-in's keys name them."""
    found: set[str] = set()
    for answers in (ONE_CUT_UP, OLD):
        stand_in.answers(answers)
        look()
        found |= set(nvml._nvmlGetFunctionPointer_cache)
    names = (
        name.removeprefix("nvml").removeprefix("Device").removeprefix("System") for name in found
    )
    return sorted(name.removeprefix("Get") for name in names if not name.startswith("ErrorString"))


def test_every_error_at_every_call(here: Any, stand_in: StandIn, planned: Planned) -> None:
    (plan,) = planned(PLAIN)
    calls = calls_of(here, stand_in)
    assert {
        "InitWithFlags",
        "Count_v2",
        "HandleByIndex_v2",
        "UUID",
        "MigDeviceHandleByIndex",
    } <= set(calls)
    assert len(calls) >= 24
    stand_in.answers(ONE_CUT_UP)
    plain = look()
    for call in calls:
        for code in CODES:
            stand_in.answers(f"{ONE_CUT_UP}fail.{call}.1 {code}\n")
            found = look()
            assert found.fault is None and found.cards[0] == plain.cards[0], (call, code)
            stand_in.answers(f"{ONE_CUT_UP}fail.{call} {code}\n")
            assert lines(plan)[0].what == "GPU", (call, code)


ONE_CARD = "cards 1\n"
EIGHT_UNLIKE = "cards 8\n" + "".join(
    f"name.{card} Fake Card of kind {card % 3}\n" for card in range(8)
)


@pytest.mark.parametrize(
    ("cards", "last"), [(ONE_CARD, 0), (EIGHT_UNLIKE, 7)], ids=["one", "eight unlike"]
)
def test_errors_of_one_card_of_a_machine_leave_the_others(
    here: Any, stand_in: StandIn, planned: Planned, cards: str, last: int
) -> None:
    (plan,) = planned(PLAIN)
    calls = calls_of(here, stand_in)
    stand_in.answers(cards)
    plain = look()
    for call in calls:
        for code in (3, 15, 999):
            stand_in.answers(f"{cards}fail.{call}.{last} {code}\n")
            assert look().cards[:last] == plain.cards[:last], (call, code)
            assert lines(plan)[0].what == "GPU", (call, code)


@pytest.mark.parametrize("code", CODES)
def test_a_value_that_fails_has_its_reason_and_no_other(
    here: Any, stand_in: StandIn, code: int
) -> None:
    stand_in.answers(f"cards 1\nfail.PowerManagementDefaultLimit {code}\n")
    (card,) = look().cards
    assert card.power_default_w is None and card.power_limit_w == 200.0
    assert list(card.missing) == ["power_default_w"]
    assert card.missing["power_default_w"].startswith(
        "NVML: nvmlDeviceGetPowerManagementDefaultLimit: "
    )


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("lost", [True, False])
def test_of_several_cards_one_that_fails_is_named(
    here: Any, stand_in: StandIn, planned: Planned, count: int, lost: bool
) -> None:
    last = count - 1
    stand_in.answers(f"cards {count}\nfail.HandleByIndex_v2.{last} {15 if lost else 4}\n")
    found = look()
    assert [card.uuid for card in found.cards] == [uuid(card) for card in range(last)]
    assert (list(found.lost), found.forbidden) == (([last], ()) if lost else ([], (last,)))
    (plan,) = planned(PLAIN)
    said = {one.what: one for one in lines(plan)}
    assert said["GPU"].state == ("error" if count == 1 else "ok")
    assert said[f"GPU {last}"].state == ("warning" if lost else "ok")


SITUATIONS = """
import json, os, sys
from pathlib import Path
from evenground.config import load_experiment
from evenground.containers.pins import load_pins
from evenground.preflight.gpu import findings
from evenground.runs.plan import make_plans
root, settings, situations = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
for name, given in situations.items():
    os.environ.update({"FAKE_NVML": "", **given["env"]})
    Path(os.environ["FAKE_NVML_FILE"]).write_bytes(given["answers"].encode("latin-1"))
    (plan,) = make_plans([load_experiment(settings)], root)
    for finding in findings([plan], load_pins(root)):
        print(json.dumps([name, finding.what, finding.state, finding.seen, finding.fix]))
"""
# Name -> what the driver is told, and a finding that must come of it.
NAMED: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "plain": ({}, ("GPU", "ok", f"Fake Card, card 0 of 2, {uuid(0)}, 7.5 GiB of 7.5 GiB free")),
    "gb10": (
        {"answers": "fail.MemoryInfo 3\nfail.MemoryInfo_v2 3\n"},
        (
            "GPU values",
            "ok",
            "not known: memory_bytes: NVML: nvmlDeviceGetMemoryInfo: Not Supported",
        ),
    ),
    "h999": (
        {"answers": "fail.HandleByIndex_v2.1 999\n"},
        ("GPU 1", "warning", "NVML: nvmlDeviceGetHandleByIndex: Unknown Error"),
    ),
    "mismatch": (
        {"answers": "fail.InitWithFlags 18\n"},
        ("GPU", "error", "NVML: nvmlInit: RM has detected an NVML/RM version mismatch."),
    ),
    "one-lost": (
        {"env": {"FAKE_NVML": "one-lost"}},
        ("GPU 1", "warning", "NVML: nvmlDeviceGetUUID: GPU is lost"),
    ),
    "forbidden": (
        {"env": {"FAKE_NVML": "forbidden"}},
        ("GPU 1", "ok", "this user, or this job of a scheduler, may not use it"),
    ),
    "raw name": (
        {"answers": "name \xf8\x10Garbage\n"},
        ("GPU name", "warning", r"the driver gives it a name that is not text: \xf8\x10Garbage"),
    ),
    "all lost": (
        {"env": {"FAKE_NVML": "lost"}},
        ("GPU", "error", "no card can be used: card 0: NVML: nvmlDeviceGetUUID: GPU is lost"),
    ),
    "busy": (
        {"answers": "compute-pid-1 1\ncompute-used-1 314572800\n"},
        ("GPU use", "warning", "1 processes compute on it, with 300 MiB: "),
    ),
    "old": (
        {"answers": "driver-version 470.103.01\n"},
        ("driver", "error", "470.103.01 is too old"),
    ),
    "new card": (
        {"answers": "capability 120\ndriver-version 535.183.01\n"},
        ("GPU for keras", "error", "driver 535.183.01 is too old for its libraries on Fake Card"),
    ),
}


def test_each_situation_from_the_field_has_its_finding(stand_in: StandIn, tmp_path: Path) -> None:
    copy = fresh_copy(tmp_path / "copy")
    shutil.copytree(
        ROOT / "scripts/engines/keras", copy.root / "scripts/engines/keras", dirs_exist_ok=True
    )
    given = {name: {"env": {}, "answers": "", **told} for name, (told, _) in NAMED.items()}
    settings = {**copy.settings, "engines": ["keras"]}
    words = [
        sys.executable,
        "-c",
        SITUATIONS,
        str(copy.root),
        json.dumps(settings),
        json.dumps(given),
    ]
    env = os.environ | stand_in.env() | {"PYTHONPATH": str(ROOT / "src")}
    env.pop("CUDA_VISIBLE_DEVICES", None)
    done = subprocess.run(words, cwd=copy.root, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert max(len(one[3]) for one in said) < 250
    for name, (_, (what, state, seen)) in NAMED.items():
        (found,) = [one for one in said if one[:2] == [name, what]]
        assert found[2] == state and found[3].startswith(seen), found
        assert bool(found[4]) == (state != "ok"), found
    assert [one[1] for one in said if one[0] == "plain"] == ["GPU", "driver"]
