"""Verdicts on made experiments: what is known to be true is found, and turns with the data."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.remade import change_run
from analysis.synthetic import CARD, Made
from analysis.test_tables import compare
from claims.made import (
    CONTRARY,
    DATASETS,
    FACTS,
    ROOT,
    THESIS,
    THESIS_MACHINE,
    changed,
    claims,
    experiment,
    judge_files,
    noisy,
    on,
    verdicts,
)
from evenground.claims.arithmetic import arithmetic
from evenground.claims.judge import VERDICTS
from evenground.claims.published import read_published
from evenground.claims.verdicts import Judged

GOLDEN = Path(__file__).parent / "golden"
BOTH = ("corrected", "as-published")
LINES, TURNED_LINES = {"axon": 102, "plain-nx": 204}, {"axon": 300, "plain-nx": 204}
Found = Mapping[tuple[str, str], Judged]


@pytest.fixture(scope="module")
def thesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with the thesis's own numbers, on its own class of machine. Read it, do not change it."""
    return experiment(tmp_path_factory.mktemp("thesis"), machine=THESIS_MACHINE, thesis_lines=LINES)


@pytest.fixture(scope="module")
def as_claimed(thesis: Path) -> Found:
    return verdicts(thesis)


@pytest.fixture(scope="module")
def contrary(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return verdicts(
        experiment(
            tmp_path_factory.mktemp("contrary"), CONTRARY, machine=THESIS_MACHINE, thesis_lines=TURNED_LINES
        )
    )


# What the thesis's own numbers do not support, or what made runs of two engines do not have.
OTHERWISE = {
    "X1": "not testable here",
    "V3-mnist": "contradicted",
    "V3-cifar10": "inconclusive",
}
# The made runs are a fifth as long: 3.7 s without GPU use do not fit, and 0.9 s weigh more in the mean.
SIZES_MISSED = dict.fromkeys(("G3-cifar10", "G2-mnist", "G4"), "direction only")


@pytest.mark.parametrize("instrument", BOTH)
@pytest.mark.parametrize("claim", [claim.id for claim in claims().claims])
def test_the_thesis_reproduces_itself(as_claimed: Found, claim: str, instrument: str) -> None:
    found = as_claimed[claim, instrument]
    assert found.verdict == {**OTHERWISE, **SIZES_MISSED}.get(claim, "reproduced"), found.reason
    assert not found.demonstration


@pytest.mark.parametrize("instrument", BOTH)
@pytest.mark.parametrize("claim", [claim.id for claim in claims().claims if claim.id != "X1"])
def test_turned_data_turn_the_verdict(contrary: Found, claim: str, instrument: str) -> None:
    turned = {"V3-mnist": "reproduced"}
    assert contrary[claim, instrument].verdict == turned.get(claim, "contradicted"), contrary[
        claim, instrument
    ]


def test_the_list_of_verdicts_is_closed() -> None:
    assert VERDICTS == (
        "reproduced",
        "direction only",
        "inconclusive",
        "contradicted",
        "not testable here",
    )


def test_c1_is_an_artefact_of_its_instrument(tmp_path: Path) -> None:
    """The CPU at 40 % of the machine, its mean since boot as in the thesis."""
    world = {name: replace(made, cpu_pct=160.0) for name, made in THESIS.items()}
    found = verdicts(experiment(tmp_path, world))
    for claim in ("C1-mnist-elixir", "C1-mnist-python", "C1-cifar10-elixir", "C1-cifar10-python"):
        assert [found[claim, i].verdict for i in BOTH] == ["contradicted", "reproduced"]
        estimates = [found[claim, i].of.found for i in BOTH]
        assert estimates[0] and estimates[0].value == pytest.approx(40.0, rel=0.1)
        assert estimates[1] and estimates[1].value < 1.0


def test_late_samples_are_not_late_on_paper(tmp_path: Path) -> None:
    """Elixir's samples come every 0.2 s instead of 0.1: the thesis's clock halves its time."""
    found = verdicts(experiment(tmp_path, changed(THESIS, spacing_s=0.2)))
    for claim in ("T1", "T2", "T3"):
        assert [found[claim, i].verdict for i in BOTH] == ["reproduced", "contradicted"]


def test_other_memory_of_the_machine_counts_as_published_only(tmp_path: Path) -> None:
    found = verdicts(experiment(tmp_path, changed(THESIS, used_bytes=8 * 2**30)))
    for claim in ("R1-mnist", "R1-cifar10"):
        assert [found[claim, i].verdict for i in BOTH] == ["reproduced", "contradicted"]


def test_another_size_is_the_direction_only(tmp_path: Path) -> None:
    found = verdicts(experiment(tmp_path, changed(THESIS, steady_s=9.0), machine=THESIS_MACHINE))
    assert {found[c, i].verdict for c in ("T1", "T2", "T3") for i in BOTH} == {"direction only"}


def test_the_tolerance_counts_on_the_machine_of_the_thesis_only(tmp_path: Path) -> None:
    """5 % off with an interval of 2 %: near, and not covered."""
    world = {**THESIS, ("mnist", "axon"): replace(THESIS["mnist", "axon"], steady_s=1.05 * 4.08 - 1)}
    here, there = (
        verdicts(experiment(tmp_path / name, world, 0.002, machine=name))
        for name in (THESIS_MACHINE, "other")
    )
    assert here["T1", "corrected"].verdict == "reproduced"
    assert there["T1", "corrected"].verdict == "direction only"
    assert "on the machine of the claim only" in there["T1", "corrected"].reason


def test_too_much_noise_is_inconclusive_with_the_runs_it_would_take(tmp_path: Path) -> None:
    world = {**THESIS, ("mnist", "axon"): replace(THESIS["mnist", "axon"], steady_s=2.2)}
    found = verdicts(experiment(tmp_path, world, spread=0.08, datasets=DATASETS[:1]))
    for one in (found["T1", instrument] for instrument in BOTH):
        assert one.verdict == "inconclusive" and one.more_runs and 5 < one.more_runs < 200
        assert f"about {one.more_runs} more runs" in one.reason


def test_no_effect_says_that_no_number_of_runs_would_do(tmp_path: Path) -> None:
    same = THESIS["mnist", "keras"]
    world = {**THESIS, ("mnist", "axon"): same}
    found = verdicts(experiment(tmp_path, world, datasets=DATASETS[:1]))["T1", "corrected"]
    assert found.verdict == "inconclusive" and found.more_runs is None
    assert "more than 1000 runs a group" in found.reason


ON_CPU = replace(THESIS["mnist", "keras"], device="cpu")
NOT_TESTABLE = {
    "no GPU": ({"gpu": False}, "G1-mnist", "no GPU"),
    "on the processor": (
        {"make": functools.partial(noisy, on(THESIS, "cpu"), 0.02)},
        "V1-mnist",
        "no GPU: trainings of axon on mnist computed on cpu",
    ),
    "one on the processor": (
        {"make": functools.partial(noisy, {**THESIS, ("mnist", "keras"): ON_CPU}, 0.02)},
        "V1-mnist",
        "no GPU: trainings of keras on mnist computed on cpu",
    ),
    "no Elixir": ({"engines": ("keras",)}, "T1", "engine absent: axon"),
    "no arm": ({}, "X1", "arm absent: axon_binary"),
    "no CIFAR-10": ({"datasets": DATASETS[:1]}, "T2", "no finished runs: cifar10 is no dataset"),
    "one repetition": ({"repetitions": 1}, "T1", "fewer than two runs with a value: axon on mnist"),
    "no run": (
        {"lost": {("mnist", "axon", k): ("failed", "crashed") for k in (1, 2)}},
        "T1",
        "no finished runs: axon on mnist",
    ),
    "one of two": (
        {"lost": {("mnist", "keras", 2): ("missing", None)}},
        "T1",
        "fewer than two runs with a value: keras on mnist",
    ),
    "no cores": ({"environment": {"memory_bytes": 2**34}}, "C1-mnist-elixir", "column not measured"),
}


@pytest.mark.parametrize("name", NOT_TESTABLE)
def test_not_testable_here_says_why(tmp_path: Path, name: str) -> None:
    settings, claim, reason = NOT_TESTABLE[name]
    small = {"repetitions": 2, "datasets": DATASETS[:1], **settings}
    found = verdicts(experiment(tmp_path, **small))[claim, "corrected"]
    assert found.verdict == "not testable here" and found.reason.startswith(reason)
    assert found.p_holm != found.p_holm and found.more_runs is None


def left_out(index: Path, *names: str) -> Path:
    """Let engines of these names be left out of the index for not being installed."""
    absent = [{"name": name, "label": name, "reason": "no Elixir: install it"} for name in names]
    index.write_text(json.dumps({**json.loads(index.read_text()), "absent": absent}))
    return index


def test_an_engine_that_is_not_installed_is_no_engine_that_nobody_asked_for(tmp_path: Path) -> None:
    small = {"engines": ("keras",), "repetitions": 2, "datasets": DATASETS[:1]}
    index = left_out(experiment(tmp_path, **small), "axon", "axon_binary")
    found, why = verdicts(index), "not installed: no Elixir: install it"
    assert {found["T1", i].reason for i in BOTH} == {f"engine axon {why}"}
    assert {found["T1", i].verdict for i in BOTH} == {"not testable here"}
    assert found["X1", "corrected"].reason == f"engine axon_binary {why}"
    assert found["C1-mnist-python", "corrected"].verdict != "not testable here"
    # One that shall stand in for another may be missing, too.
    assert verdicts(index, {"python": "axon"})["C1-mnist-python", "corrected"].reason == f"engine axon {why}"


def test_no_repetition_at_all(tmp_path: Path) -> None:
    lost = {(d[0], e, k): ("failed", "x") for d in DATASETS for e in ("keras", "axon") for k in range(1, 6)}
    assert {one.verdict for one in verdicts(experiment(tmp_path, lost=lost)).values()} == {VERDICTS[-1]}


def test_unfinished_runs_are_left_out_and_counted(tmp_path: Path) -> None:
    lost = {("mnist", "axon", 2): ("failed", "crashed"), ("mnist", "axon", 4): ("missing", None)}
    found = verdicts(experiment(tmp_path, lost=lost))["T1", "corrected"]
    assert (found.verdict, found.of.counts("elixir"), found.of.counts("python")) == ("reproduced", 3, 5)


def test_nothing_measured_leaves_the_times(tmp_path: Path) -> None:
    world = {name: replace(made, columns=False) for name, made in THESIS.items()}
    found = verdicts(experiment(tmp_path, world))
    assert found["T1", "corrected"].verdict == found["T1", "as-published"].verdict == "reproduced"
    others = [one for (claim, _), one in found.items() if claim[0] not in "TXL"]
    assert len(others) == 52 and {one.verdict for one in others} == {"not testable here"}
    assert all(one.reason.startswith("column not measured: ") for one in others)


def test_the_reason_of_a_missing_column_is_the_recorded_one(tmp_path: Path) -> None:
    settings = {"gpu": False, "machine": "made-card", "datasets": DATASETS[:1], "repetitions": 2}
    world = on(THESIS, f"cuda:{CARD}")
    found = verdicts(experiment(tmp_path, world, **settings))["G1-mnist", "corrected"]
    assert found.reason.startswith("column not measured: gpu_util_pct of axon on mnist: no NVIDIA driver")


def test_a_process_that_does_not_linger_keeps_nothing_measurable(tmp_path: Path) -> None:
    world = {name: replace(made, linger_s=0.0) for name, made in THESIS.items()}
    found = verdicts(experiment(tmp_path, world))
    assert found["R2-elixir", "corrected"].verdict == "not testable here"
    assert found["R1-mnist", "corrected"].verdict == "reproduced"


def test_a_ratio_of_nothing_is_not_testable(tmp_path: Path) -> None:
    found = verdicts(experiment(tmp_path, changed(THESIS, gpu_pct=0)))["G2-mnist", "corrected"]
    assert (found.verdict, found.reason) == (VERDICTS[-1], "a value is not above zero: steady of gpu")


STAND_INS = {"elixir": "jax", "cifar10": "shapes"}
OTHER_NAMES = (("mnist", "MNIST", "mlp"), ("shapes", "Shapes", "cnn"))


def stand_in_world(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
    names = {"shapes": "cifar10", "jax": "axon"}
    return noisy(THESIS, 0.02, names.get(dataset, dataset), names.get(engine, engine), repetition, gpu)


def test_stand_ins_give_demonstrations_which_count_for_nothing(tmp_path: Path) -> None:
    settings = {"datasets": OTHER_NAMES, "engines": ("keras", "jax"), "make": stand_in_world}
    index = experiment(tmp_path, stand_ins=STAND_INS, **settings)
    found = verdicts(index)
    assert found["T1", "corrected"].demonstration == "jax as elixir"
    assert found["T2", "corrected"].demonstration == "jax as elixir; shapes as cifar10"
    assert found["C1-mnist-python", "corrected"].demonstration == ""
    assert all(found[c, i].verdict == "reproduced" for c in ("T1", "T2", "T3") for i in BOTH)
    assert verdicts(index, {})["T1", "corrected"].reason == "engine absent: axon"
    written = judge_files(index)
    head = (written / "verdicts.md").read_text().split("| claim |")[0]
    counted = re.findall(r": (.*?)\. Demonstrations, which count as none of these: (\d+) reproduced", head)
    assert [real for real, _ in counted] == ["1 reproduced, 2 not testable here"] * 2
    assert all(int(shown) > 15 for _, shown in counted)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"epochs": 5}, "epochs 5 instead of 3"),
        ({"batch_size": 64, "learning_rate": 0.001}, "batch_size 64 instead of 32"),
    ],
)
def test_another_protocol_gives_demonstrations(
    tmp_path: Path, parameters: dict[str, object], words: str
) -> None:
    small = {"parameters": parameters, "datasets": DATASETS[:1], "repetitions": 3}
    found = verdicts(experiment(tmp_path, **small))["T1", "corrected"]
    assert (found.verdict, found.demonstration) == ("reproduced", words)


def test_the_device_is_taken_from_the_engines_own_word(tmp_path: Path) -> None:
    """Neither a machine with a GPU nor what was asked for makes a training one on the GPU."""
    small = {"datasets": DATASETS[:1], "repetitions": 3, "parameters": {"accelerator": "cuda"}}
    found = verdicts(experiment(tmp_path / "a", on(THESIS, "cpu"), **small))
    assert found["T1", "corrected"].demonstration == "accelerator cpu instead of cuda"
    assert found["G1-mnist", "corrected"].verdict == VERDICTS[-1]
    fallen = {**THESIS, ("mnist", "axon"): replace(THESIS["mnist", "axon"], device="cpu")}
    found = verdicts(experiment(tmp_path / "b", fallen, **small))
    assert found["T1", "corrected"].demonstration == "accelerator cpu and cuda instead of cuda"
    assert found["C1-mnist-python", "corrected"].demonstration == "", "that one computed on the GPU"


def test_a_few_runs_on_the_processor_are_counted(tmp_path: Path) -> None:
    def second(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        made = noisy(THESIS, 0.02, dataset, engine, repetition, gpu)
        return replace(made, device="cpu") if (engine, repetition) == ("axon", 2) else made

    small = {"datasets": DATASETS[:1], "repetitions": 3}
    found = verdicts(experiment(tmp_path, make=second, **small))["G2-mnist", "corrected"]
    assert found.reason == "no GPU: 1 of 3 trainings of axon on mnist computed on cpu"


@pytest.mark.parametrize(
    ("asked", "words"), [("auto", ""), ("cpu", "accelerator cpu and cuda instead of cuda")]
)
def test_an_arm_without_a_gpu_by_design_is_judged_by_its_own_device(
    tmp_path: Path, asked: str, words: str
) -> None:
    """Elixir without its compiler computes on the processor, in the thesis and here."""
    world = {
        **THESIS,
        ("mnist", "axon_binary"): replace(THESIS["mnist", "axon"], steady_s=99.0, device="cpu"),
    }
    settings = {"datasets": DATASETS[:1], "engines": ("keras", "axon", "axon_binary"), "repetitions": 2}
    index = experiment(tmp_path, world, parameters={"accelerator": asked}, **settings)
    content = json.loads(index.read_text())
    content["engines"][2]["arm_of"] = "axon"
    index.write_text(json.dumps(content))
    for number, run in enumerate(content["runs"]):
        told = "cpu" if run["engine"] == "axon_binary" else "cuda"
        change_run(index, number, environment={**FACTS, "gpu": {"accelerator": told}})
    found = verdicts(index)["X1", "corrected"]
    assert (found.verdict, found.demonstration) == ("direction only", words)


def test_an_engine_with_other_options_gives_demonstrations(tmp_path: Path) -> None:
    index = experiment(tmp_path, datasets=DATASETS[:1], repetitions=3)
    content = json.loads(index.read_text())
    content["engines"][1]["options"] = {"backend": "binary"}
    index.write_text(json.dumps(content))
    assert verdicts(index)["T1", "corrected"].demonstration == "axon with backend binary"
    content["engines"][1]["arm_of"] = "keras"
    index.write_text(json.dumps(content))
    assert verdicts(index)["T1", "corrected"].demonstration == "", "an arm is what its options make it"


def test_x1_is_judged_where_the_arm_is(tmp_path: Path) -> None:
    world = {**THESIS, ("mnist", "jax"): replace(THESIS["mnist", "axon"], steady_s=100.0)}
    settings = {"datasets": DATASETS[:1], "engines": ("keras", "axon", "jax"), "repetitions": 2}
    found = verdicts(experiment(tmp_path, world, **settings), {"elixir_without_exla": "jax"})[
        "X1", "corrected"
    ]
    assert (found.verdict, found.demonstration) == ("direction only", "jax as elixir_without_exla")


@pytest.fixture(scope="module")
def written(thesis: Path) -> Path:
    return judge_files(thesis)


@pytest.mark.parametrize("name", ["verdicts.csv", "verdicts.md", "arithmetic.csv", "arithmetic.md"])
def test_golden(written: Path, name: str) -> None:
    compare(written / name, GOLDEN / name)


def test_the_record_names_every_run_behind_a_verdict(thesis: Path, written: Path) -> None:
    record = json.loads((thesis.parent / "verdicts.json").read_text())
    rows = {(row["id"], row["instrument"]): row for row in record["verdicts"]}
    assert len(rows) == 62 and record["machine"] == THESIS_MACHINE
    row = rows["T1", "corrected"]
    assert row["estimator"] == "ratio" and row["arguments"]["of"] == "elixir" and len(row["runs"]) == 10
    for used in row["runs"]:
        manifest = json.loads((thesis.parent.parent / used["path"] / "manifest.json").read_text())
        assert (manifest["run"]["key"], manifest["run"]["repetition"]) == (used["key"], used["repetition"])
        assert used["value"] > 0
    assert rows["X1", "corrected"]["estimate"] is None and rows["X1", "corrected"]["runs"] == []


def test_arithmetic_is_that_of_the_notes() -> None:
    found = arithmetic(read_published(ROOT / "data/published/thesis-2022.csv"))
    rows = found.set_index(["claim", "stated"])
    expected = {
        ("T1", "34.21"): (34.2105, "yes"),
        ("T2", "23.91"): (23.9130, "yes"),
        ("T3", "22.39"): ((25.4902 + 19.2982) / 2, "yes"),
        ("X1", "1350"): (1323.53, "no"),
        ("L1", "50"): (50.0, "yes"),
        ("R1", "5"): (4.7923, "yes"),
        ("R1", "28"): (21.8789, "no"),
        ("V3", "below 1"): (13.42 / 11.49, "no"),
        ("V3", "above 1"): (1.0, "no"),
        ("G4", "below 1"): (5 / 11, "yes"),
        ("G4", "above 1"): (1.4, "yes"),
        ("slip", "728"): (784.0, "no"),
    }
    for name, (value, agrees) in expected.items():
        assert rows.loc[name, "recomputed"] == pytest.approx(value, rel=1e-5)
        assert rows.loc[name, "agrees"] == agrees
