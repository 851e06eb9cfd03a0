"""Quality gates: each can be triggered, each can be passed, and what was not recorded is neither."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.remade import (
    CALM,
    change_index,
    change_run,
    metrics_of,
    notes_of,
    say_not_seen,
    set_clock_of,
    tables_by_files,
    tables_of,
)
from analysis.synthetic import GPU_RECORD, MadeResults, write_results
from evenground.analysis.captions import notes
from evenground.analysis.circumstances import (
    CARD_COMPARED,
    CARD_SAMPLES,
    COMPARED,
    SLOWDOWNS,
    other_libraries,
    read_locks,
)
from evenground.analysis.experiment import alone, with_lead
from evenground.analysis.normalise import normalise, normalise_all
from evenground.analysis.quality import (
    BANDS,
    GATES,
    MAX_EXPLAINED,
    Band,
    Gate,
    band_of,
    quality_table,
    unknown,
    why_unknown,
)
from evenground.analysis.runs import NUMBERS, read_runs
from evenground.analysis.timeline import COLUMNS as SHOWN_COLUMNS
from evenground.judged import NOT_RECORDED
from evenground.locks import normalised, parse_lock
from evenground.records.gpus import SET_CLOCK, USUAL_CLOCK
from evenground.records.index import Condition, read_index
from evenground.records.samples import TOO_EARLY
from evenground.runs.record import installed
from evenground.surroundings import judge as surroundings
from made_records import index_of

ROOT = Path(__file__).parents[2]
NAN = math.nan
DIGITS = (("digits", "Digits", "mlp"),)
GOOD = {gate.column: 0.0 for gate in GATES} | {
    "steps": 5625,
    "idle_s": 0.0,
    "processor_only": 0.0,
    "device": "cpu",
}
GOOD |= {gate.detail: "" for gate in GATES if gate.detail}
GOOD |= {COMPARED: json.dumps({name: [] for name in surroundings.COMPARED}), CARD_COMPARED: "{}"}


def runs(training_s: list[float], accuracy: float = 0.966, dataset: str = "mnist") -> pd.DataFrame:
    """The table `runs` of one group, as far as the gates read it."""
    frame = pd.DataFrame({"repetition": range(1, len(training_s) + 1), "training_s": training_s})
    named = {"dataset": dataset, "engine": "keras", "status": "finished", "device": "cpu"}
    return frame.assign(**named, test_accuracy=accuracy)


def circumstances(n: int, dataset: str = "mnist", **changes: Any) -> pd.DataFrame:
    """Conditions of the runs of one group; `changes` are of the second run."""
    frame = pd.DataFrame([GOOD] * n).assign(
        dataset=dataset, engine="keras", repetition=range(1, n + 1)
    )
    for name, value in changes.items():
        frame[name] = (
            frame[name].astype("object") if isinstance(value, str) else frame[name].astype(float)
        )
        frame.loc[frame.index[1], name] = value
    return frame


@pytest.fixture
def mnist(tmp_path: Path) -> Condition:
    """A condition of the protocol on MNIST with one engine."""
    made = MadeResults(datasets=(("mnist", "MNIST", "mlp"),), engines=("keras",), repetitions=1)
    return read_index(write_results(tmp_path, made)).first


def found(condition: Condition, frame: pd.DataFrame, known: pd.DataFrame) -> list[tuple[Any, ...]]:
    table = quality_table(condition, frame, known)
    return [tuple(row) for row in table[["repetition", "state", "finding"]].itertuples(index=False)]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.finding)
def test_a_gate_lets_its_limit_through_and_nothing_above(mnist: Condition, gate: Gate) -> None:
    frame = runs([10.0, 10.1, 10.2])
    for value in (0.0, gate.limit, NAN):
        assert found(mnist, frame, circumstances(3, **{gate.column: value})) == []
    above = circumstances(3, **{gate.column: gate.limit + 0.01})
    assert found(mnist, frame, above) == [(2, gate.state, gate.finding)]
    row = quality_table(mnist, frame, above).iloc[0]
    assert (row["value"], row["limit"]) == pytest.approx((gate.limit + 0.01, gate.limit))
    assert row["reason"] == gate.reason


def test_states_are_those_of_the_contract() -> None:
    assert {gate.finding: gate.state for gate in GATES} == {
        **dict.fromkeys(
            ("sampler", "swapping", "throttling", "foreign process", "environment"), "invalid"
        ),
        **dict.fromkeys(
            ("cores", "cpu throttling", "cpu limit", "foreign code", "off the card"), "invalid"
        ),
        **dict.fromkeys(("not seen", "load", "idle", "clock", "desktop"), "warned"),
        **dict.fromkeys(("gpu power limit", "gpu clock", "gpu persistence"), "warned"),
        **dict.fromkeys(
            ("shared cores", "unlike cores", "cpu clock", "mounts", "cold start"), "warned"
        ),
    }


def test_details_stand_in_the_reason(mnist: Condition) -> None:
    known = circumstances(3, throttled_share=0.25, throttled_by="power brake")
    assert (
        quality_table(mnist, runs([1.0, 1.0, 1.0]), known)["reason"]
        .iloc[0]
        .endswith(": power brake")
    )


@pytest.mark.parametrize(
    ("accuracy", "limit"), [(0.949, 0.95), (0.95, None), (0.966, None), (0.98, None), (0.981, 0.98)]
)
def test_accuracy_has_a_band_on_the_full_protocol(
    mnist: Condition, accuracy: float, limit: float | None
) -> None:
    frame = runs([10.0, 10.0, 10.0])
    frame.loc[1, "test_accuracy"] = accuracy
    table = quality_table(mnist, frame, circumstances(3))
    assert table["limit"].tolist() == ([] if limit is None else [limit])
    if limit:
        assert table[["repetition", "state", "finding", "value"]].values.tolist() == [
            [2, "invalid", "accuracy", accuracy]
        ]


@pytest.mark.parametrize("least", [5624.0, NAN])
def test_a_shorter_training_has_no_band(mnist: Condition, least: float) -> None:
    assert found(mnist, runs([9.0, 9.0], 0.1), circumstances(2).assign(steps=least)) == []


def trained_with(condition: Condition, **changes: Any) -> Condition:
    parameters = condition.parameters.model_copy(update=changes)
    return condition.model_copy(update={"parameters": parameters})


@pytest.mark.parametrize("parameters", [{"epochs": 2}, {"batch_size": 64}, {"learning_rate": 0.01}])
def test_another_protocol_has_no_band(mnist: Condition, parameters: dict[str, Any]) -> None:
    assert band_of(mnist, "mnist", "keras") == BANDS["mnist", "mlp"]
    assert band_of(trained_with(mnist, **parameters), "mnist", "keras") is None


def test_more_epochs_may_reach_more_and_not_less(mnist: Condition) -> None:
    assert band_of(trained_with(mnist, epochs=10), "mnist", "keras") == Band(0.95, 1.0, 5625)


def test_another_dataset_and_an_arm_have_no_band(mnist: Condition, index_path: Path) -> None:
    assert band_of(read_index(index_path).first, "digits", "keras") is None
    engine = mnist.engines[0].model_copy(update={"arm_of": "other"})
    arm = mnist.model_copy(update={"engines": (engine,)})
    assert band_of(arm, "mnist", "keras") is None


def test_bands_cover_at_least_the_protocols_steps() -> None:
    examples = {"mnist": 60000, "cifar10": 50000}
    for (dataset, _), band in BANDS.items():
        assert band.steps == 3 * (examples[dataset] // 32) and 0 < band.low < band.high < 1


def idle(*idle_s: float) -> pd.DataFrame:
    return circumstances(len(idle_s)).assign(idle_s=idle_s)


def test_a_spread_by_itself_is_no_finding(mnist: Condition) -> None:
    """`cv` in `summary` has it; one run that differs from four alike ones is none either."""
    assert found(mnist, runs([9.0, 10.0, 15.0]), circumstances(3)) == []
    assert found(mnist, runs([10.0, 10.02, 9.98, 10.01, 17.0]), circumstances(5)) == []


def test_a_spread_that_idle_time_explains_is_a_finding_of_the_group(mnist: Condition) -> None:
    """Without the wait of the third run the times are 10, 10.1 and 10.2 s."""
    table = quality_table(mnist, runs([10.0, 10.1, 15.2]), idle(0.0, 0.0, 5.0))
    (row,) = table.to_dict("records")
    assert (row["finding"], row["state"]) == ("spread", "warned") and pd.isna(row["repetition"])
    whole, rest = (
        np.std(times, ddof=1) / np.mean(times) for times in ([10, 10.1, 15.2], [10, 10.1, 10.2])
    )
    assert row["value"] == pytest.approx(1 - rest / whole) and row["limit"] == MAX_EXPLAINED
    assert "coefficient of variation 0.2527, without it 0.009901" in row["reason"]


@pytest.mark.parametrize(
    ("times", "idle_s"),
    [
        ([10.0, 12.0, 15.2], (0.0, 0.0, 2.0)),
        # Idle time of a hundredth explains nothing worth telling.
        ([10.0, 10.0, 10.1], (0.0, 0.0, 0.1)),
        # Not known of one run.
        ([10.0, 10.1, 15.2], (NAN, 0.0, 5.0)),
        ([10.0], (5.0,)),
    ],
)
def test_idle_time_that_explains_little_or_is_not_known_is_none(
    mnist: Condition, times: list[float], idle_s: tuple[float, ...]
) -> None:
    assert found(mnist, runs(times), idle(*idle_s)) == []


def test_unfinished_runs_have_no_findings(mnist: Condition) -> None:
    frame = runs([NAN, NAN]).assign(status="failed")
    table = quality_table(mnist, frame, circumstances(2).iloc[:0])
    assert table.empty and "repetition" in table


def test_nan_everywhere_is_unknown_and_no_finding(mnist: Condition) -> None:
    known = circumstances(2).assign(**dict.fromkeys((gate.column for gate in GATES), NAN))
    known = known.assign(**dict.fromkeys((COMPARED, CARD_COMPARED), ""))
    assert found(mnist, runs([9.0, 9.0]), known) == []
    assert unknown(known) == {gate.finding: 2 for gate in GATES} | {"card": 2, "surroundings": 2}
    assert unknown(circumstances(2)) == {}
    assert unknown(circumstances(2, compared_surroundings='{"mounts": []}')) == {"surroundings": 1}


ENVIRONMENT = {
    "cores": 2,
    "load_average_before": [2.5, 1.0, 0.5],
    "swapped_pages": 3000,
    "libraries": {"Numpy": "2.4.5", "ml_dtypes": "0.6.0", "left-over": "1"},
    "cpus": {
        "threads_asked": 4,
        "n_usable": 3,
        "chosen": "0-2",
        "n_chosen": 3,
        "cores": 2,
        "packages": 1,
        "nodes": 1,
        "kinds": 2,
        "shared": 2,
        "slower": 1,
        "quota": 1.5,
        "heat": {"core_events": 2, "core_ms": 30, "package_events": 0, "package_ms": 0},
        "waited_periods": 7,
        "waited_s": 0.25,
        "settings_before": [{"cpus": "0-2", "values": {"scaling_governor": "performance"}}],
        "settings_after": [{"cpus": "0-2", "values": {"scaling_governor": "powersave"}}],
    },
    "surroundings": {
        "image": None,
        "variables": {"PATH": "/site/bin:/usr/bin:/bin"},
        "mounts": ["/usr"],
        "foreign": ["/site/lib/a.so", "/site/lib/b.so", "/site/lib/c.so", "/site/lib/d.so"],
        "cold_start": True,
    },
    "gpu": {
        **GPU_RECORD,
        "power_limit_w": 150.5,
        "clocks": {SET_CLOCK: "1500", USUAL_CLOCK: "1800"},
        "persistence": False,
    },
}
GOOD_CPUS = {
    "threads_asked": 2,
    "n_usable": 2,
    "chosen": "0-1",
    "n_chosen": 2,
    **dict.fromkeys(("cores", "packages", "nodes", "kinds"), 1),
    **dict.fromkeys(("shared", "slower", "waited_periods", "waited_s"), 0),
    "heat": dict.fromkeys(("core_events", "core_ms", "package_events", "package_ms"), 0),
}
LOCK = (
    "numpy==2.4.6 \\\n    --hash=sha256:0\nml-dtypes==0.6.0 \\\n    --hash=sha256:0\njax==0.10.2\n"
)


@pytest.fixture
def flawed(tmp_path: Path) -> Path:
    """Digits on a GPU: the first run (Keras, repetition 1) has every fault, the others none."""
    index = write_results(tmp_path, MadeResults(datasets=DIGITS, gpu=True))
    engines = json.loads(index.read_text())["conditions"][0]["engines"]
    change_index(index, engines=[{**engine, "environment": "made"} for engine in engines])
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/made.txt").write_text(LOCK)

    def spoil(frame: pd.DataFrame) -> None:
        frame.loc[10, "missed_slots"] = "4"
        frame.loc[25:30, "gpu_throttle_reasons"] = str(0x40 | 0x80 | 0x4)
        frame.loc[30, "gpu_foreign_processes"] = "2"
        frame.loc[30, ["gpu_desktop_processes", "gpu_desktop_bytes"]] = ["3", str(300 * 2**20)]
        frame.loc[frame["vram_tree_bytes"].notna(), "vram_tree_bytes"] = "0"
        # Half a second while the GPU is idle, too.
        frame.loc[31:36, "cpu_s"] = frame.loc[31, "cpu_s"]
        # The clock is set when all events are written.
        frame.loc[len(frame) - 1, "t_unix_ns"] = str(int(frame["t_unix_ns"].iloc[-1]) + 10**9)

    say_not_seen(
        read_runs(read_index(index).first)[0].folder, "cpu_s: no value in 9 of 66 rows", "it left"
    )
    for number in range(6):
        good = {"libraries": {"numpy": "2.4.6", "ml_dtypes": "0.6.0", "jax": "0.10.2", "pip": "25"}}
        calm = {
            "cores": 2,
            "load_average_before": [1.9, 1, 1],
            "swapped_pages": 0,
            "cpus": GOOD_CPUS,
            **good,
        }
        calm |= {"surroundings": CALM, "gpu": GPU_RECORD}
        change_run(
            index, number, None if number else spoil, environment=calm if number else ENVIRONMENT
        )
    return index


def test_every_fault_of_a_recorded_run_is_found(flawed: Path) -> None:
    table = tables_by_files(flawed)["quality"]
    assert table[["dataset", "engine", "repetition"]].drop_duplicates().values.tolist() == [
        ["digits", "keras", pd.NA],
        ["digits", "keras", 1],
    ]
    by_name = table.set_index("finding")
    assert by_name.index.tolist() == ["surroundings", "card", *(gate.finding for gate in GATES)]
    assert by_name.loc["sampler", "value"] == pytest.approx(4 / (66 + 4))
    assert by_name.loc["not seen", ["value", "reason"]].tolist() == [
        2,
        "things that the sampler could not see: cpu_s: no value in 9 of 66 rows; it left",
    ]
    assert by_name.loc["swapping", "value"] == 3000
    assert by_name.loc["throttling", "value"] == pytest.approx(6 / 30)
    assert by_name.loc["throttling", "reason"].endswith(": hardware thermal slowdown, power brake")
    assert by_name.loc["foreign process", "value"] == 2
    assert by_name.loc["desktop", ["value", "reason"]].tolist() == [
        3,
        "processes of others that drew on the run's card at once, as a desktop's do: they held up to 300 MiB",
    ]
    assert by_name.loc["gpu power limit", ["value", "reason"]].tolist() == [
        49.5,
        "watts by which the card's power was limited: 150.5 W of 200 W",
    ]
    assert by_name.loc["gpu clock", "reason"].endswith(": 1500 MHz, usually 1800 MHz")
    assert by_name.loc["gpu persistence", "reason"].endswith("persistence mode is off")
    assert by_name.loc["card", "reason"].endswith(
        ": power limit: 150.5 W (1 run), 200 W (2 runs); clocks: application SM (MHz) 1500 (1 run), "
        "application SM (MHz) 1800 (2 runs); persistence: off (1 run), on (2 runs)"
    )
    assert by_name.loc["load", "value"] == 1.25
    assert by_name.loc["clock", "value"] == 1.0
    assert by_name.loc["cores", "value"] == 2.5
    assert by_name.loc["cores", "reason"].endswith(
        ": 4 threads, 3 CPUs allowed, a cgroup's limit of 1.5"
    )
    assert by_name.loc["shared cores", "reason"].endswith(": 3 CPUs of 2 cores")
    assert by_name.loc["unlike cores", "reason"].endswith(": 3 CPUs of 2 kinds of core")
    assert by_name.loc["cpu throttling", "reason"].endswith(": 2 of cores in 30 ms")
    assert by_name.loc["cpu limit", "reason"].endswith(
        ": 0.25 s of all CPUs together, with a limit of 1.5 CPUs"
    )
    assert by_name.loc["cpu clock", "reason"].endswith(": scaling_governor changed")
    assert by_name.loc["foreign code", "value"] == 4
    assert by_name.loc["foreign code", "reason"].endswith(
        ": /site/lib/a.so, /site/lib/b.so, /site/lib/c.so and 1 more"
    )
    assert by_name.loc["mounts", "reason"].endswith(": /usr")
    assert by_name.loc["cold start", "reason"] == (
        "the run had no warm-up before it, and started cold: it was the first of its engine"
    )
    assert by_name.loc["surroundings", "reason"].endswith(
        ": PATH: /site/bin (1 run); mounts: /usr (1 run)"
    )
    assert by_name.loc["environment", "reason"].endswith(
        ": jax 0.10.2 is missing, left-over 1 is not in it, numpy is 2.4.5, not 2.4.6"
    )


def test_every_table_counts_flagged_runs_and_leaves_times_as_they_are(
    flawed: Path, tmp_path: Path
) -> None:
    plain_index = write_results(tmp_path / "plain", MadeResults(datasets=DIGITS, gpu=True))
    tables, before = tables_by_files(flawed), tables_by_files(plain_index)
    for name in ("summary", "resources", "memory_after"):
        rows = tables[name]
        assert set(rows[rows["engine"] == "keras"]["n_invalid"]) == {1}, name
        assert set(rows[rows["engine"] == "keras"]["n_warned"]) == {1}, name
        assert (rows[rows["engine"] == "jax"][["n_invalid", "n_warned"]] == 0).all(axis=None), name
    assert set(tables["ratios"]["n_invalid"]) == {1}
    assert tables["runs"]["quality"].tolist() == ["invalid, warned", *[""] * 5]
    numbers = before["summary"].columns.difference(["n_invalid", "n_warned"])
    times = before["summary"]["measure"] != "idle_s"
    pd.testing.assert_frame_equal(
        tables["summary"][times][numbers], before["summary"][times][numbers]
    )


def test_an_invalid_run_is_in_no_ratio(flawed: Path, tmp_path: Path) -> None:
    plain_index = write_results(tmp_path / "plain", MadeResults(datasets=DIGITS, gpu=True))
    ratios, before = (tables_by_files(path)["ratios"] for path in (flawed, plain_index))
    assert set(before["n_pairs"]) == {3} and set(ratios["n_pairs"]) == {2}
    assert ratios["reason"].str.contains(r"repetition 1: keras is invalid \(").all()


def test_metrics_and_notes_say_how_many_are_flagged(flawed: Path) -> None:
    index = read_index(flawed)
    tables = tables_of(index)
    numbers = metrics_of(index)["digits"]
    assert numbers["keras"]["n_invalid"] == 1 and numbers["jax"]["n_warned"] == 0
    experiment = alone(index)
    whys = {"cpus_unknown": "kinds: a|b", "surroundings_unknown": "mounts: c", "gpu_unknown": ""}
    known = normalise_all(experiment).circumstances.assign(swapped_pages=NAN, **whys)
    for name in tables:
        said = "".join(notes(name, experiment, tables["quality"], known))
        flagged = (
            "Runs flagged: **1 invalid**, 1 with a warning; groups flagged: 1, see `quality.md`"
        )
        assert flagged in said
        assert ("swapping (6 of 6 runs)" in said) == ("Not known" in said) == (name == "quality")
        why = "Of the CPUs, why: kinds: a\\|b. Of the surroundings, why: mounts: c."
        assert (why in said) == (name == "quality")


def test_a_group_that_is_flagged_twice_is_one(mnist: Condition) -> None:
    known = circumstances(3, compared_surroundings='{"mounts": ["/usr"]}')
    table = quality_table(mnist, runs([10.0, 10.1, 15.2]), known.assign(idle_s=[0.0, 0.0, 5.0]))
    assert table["finding"].tolist() == ["spread", "surroundings"]
    experiment = alone(index_of(mnist))
    led = with_lead(table, experiment.conditions[0])
    assert "groups flagged: 1, " in "".join(notes("runs", experiment, led, known))


def test_why_it_is_unknown_is_said_once_of_all_runs(flawed: Path) -> None:
    for number in (1, 2):
        unknown_of = {"cpus": {**GOOD_CPUS, "missing": {"kinds": "none"}}}
        unknown_of["surroundings"] = {**CALM, "foreign": None, "missing": {"mapped": "it ended"}}
        unknown_of["gpu"] = {
            **GPU_RECORD,
            "ecc": None,
            "missing": {"ecc": "no such thing", "clocks": "hung"},
        }
        change_run(flawed, number, environment=unknown_of)
    known = normalise(read_index(flawed).first).circumstances
    whys = {"CPUs": "kinds: none", "surroundings": "mapped: it ended", "GPU": "clocks: hung"}
    assert why_unknown(known) == whys, "ECC is asked by no gate"
    others = dict.fromkeys(("surroundings_unknown", "gpu_unknown"), "")
    several = known.assign(cpus_unknown=["a", "b", "c", "", "a", "d"], **others)
    assert why_unknown(several) == {"CPUs": "a; b; and 2 more reasons in circumstances.csv"}


def test_a_clean_experiment_says_that_none_is_flagged(index_path: Path) -> None:
    assert "Runs flagged: none." in notes_of(read_index(index_path), "runs")


def test_older_runs_are_unknown_and_not_zero(index_path: Path) -> None:
    known = normalise(read_index(index_path).first).circumstances
    assert known[["swapped_pages", "n_other_libraries", "load_per_core"]].isna().all(axis=None)
    older = ("swapping", "environment", "load", "cores", "cpu throttling", "cpu limit")
    older += ("shared cores", "unlike cores", "cpu clock")
    older += ("foreign code", "mounts", "cold start", "surroundings")
    assert unknown(known) == dict.fromkeys(older, 10)
    assert set(known["cpus_unknown"]) == set(known["surroundings_unknown"]) == {NOT_RECORDED}


def test_bits_are_those_of_nvml_that_slow_a_card_down() -> None:
    pynvml = pytest.importorskip("pynvml")
    names = ("HwSlowdown", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")
    assert set(SLOWDOWNS) == {getattr(pynvml, f"nvmlClocksEventReason{name}") for name in names}
    assert not sum(SLOWDOWNS) & (
        pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonGpuIdle
    )


def test_steps_are_those_of_whole_batches(index_path: Path) -> None:
    assert set(normalise(read_index(index_path).first).circumstances["steps"]) == {5625.0}


@pytest.mark.parametrize("name", ["Ruamel.YAML", "ruamel-yaml", "ruamel__yaml", "RUAMEL._-yaml"])
def test_names_are_compared_as_pep_503_says(name: str) -> None:
    assert normalised(name) == "ruamel-yaml"


def test_a_lock_with_markers_allows_each_version_and_absence(tmp_path: Path) -> None:
    text = "scipy==1.17.1 ; python_full_version < '3.12' \\\n    --hash=sha256:0\n"
    (tmp_path / "a.txt").write_text(
        text + text.replace("1.17.1", "1.18.1") + "six==1.17.0 \\\n  # via x==2\n"
    )
    lock = parse_lock((tmp_path / "a.txt").read_text())
    assert lock == {"scipy": {"1.17.1", "1.18.1", ""}, "six": {"1.17.0"}}
    assert other_libraries({"six": "1.17.0"}, lock) == []
    assert other_libraries({"six": "1.17.0", "SciPy": "1.18.1"}, lock) == []
    assert other_libraries({"scipy": "1.16.0"}, lock) == [
        "scipy is 1.16.0, not 1.17.1 or 1.18.1",
        "six 1.17.0 is missing",
    ]
    assert other_libraries({"six": "1.17.0", "pip": "1", "setuptools": "2"}, lock) == []


def test_a_lock_of_this_repository_is_what_its_environment_holds() -> None:
    if not re.fullmatch(r"test-\w{12}", Path(sys.prefix).name):
        pytest.skip("the tests do not run in the environment of envs/test.txt")
    found = other_libraries(
        installed(Path(sys.executable)), parse_lock((ROOT / "envs/test.txt").read_text())
    )
    assert found == []


def test_a_lock_that_is_not_at_hand_is_unknown(flawed: Path) -> None:
    assert set(read_locks(read_index(flawed).first)) == {"keras", "jax"}
    (flawed.parent.parent / "envs/made.txt").unlink()
    index = read_index(flawed)
    assert read_locks(index.first) == {}
    table = tables_of(index)["quality"]
    own = table[table["repetition"].notna()]
    assert "environment" not in set(table["finding"]) and len(own) == len(GATES) - 1


@pytest.mark.parametrize("column", NUMBERS)
def test_a_run_recorded_before_a_column_existed_is_read_without_it(
    tmp_path: Path, column: str
) -> None:
    index = write_results(tmp_path, MadeResults(datasets=DIGITS, repetitions=1, gpu=True))
    change_run(index, 0, lambda frame: frame.drop(columns=[column], inplace=True))
    frames = normalise(read_index(index).first)
    missing = frames.missing[frames.missing["engine"] == "keras"]
    reasons = dict(zip(missing["column"], missing["reason"], strict=True))
    shown = {"cpu_s": "cpu_pct"}.get(column, column)
    assert reasons == ({shown: TOO_EARLY} if shown in SHOWN_COLUMNS else {})
    keras, jax = frames.circumstances.to_dict("records")
    assert (f"{column}: {TOO_EARLY}" in keras["gpu_unknown"]) is (column in CARD_SAMPLES)
    assert jax["gpu_unknown"] == ""
    assert math.isnan(keras["missed_share"]) is (column == "missed_slots")


@pytest.mark.parametrize("by_s", [0.2, -0.2, 5.0, 3600.0, -3600.0])
def test_a_clock_set_during_training_is_found_and_changes_no_table(
    by_s: float, tmp_path: Path
) -> None:
    path = write_results(tmp_path, MadeResults())
    before = tables_of(read_index(path))
    run = read_runs(read_index(path).first)[0]
    middle_ns = (run.events.train_start_ns + run.events.epochs[1].end_ns) // 2
    set_clock_of(run.folder, middle_ns, by_s)
    change_run(path, 0)
    after = tables_of(read_index(path))
    (found,) = after["quality"][after["quality"]["finding"] == "clock"].to_dict("records")
    assert (found["dataset"], found["engine"], found["repetition"]) == ("digits", "keras", 1)
    assert (found["state"], found["value"]) == ("warned", pytest.approx(abs(by_s), abs=1e-6))
    for name in ("ratios", "resources", "idle_windows", "memory_after"):
        columns = [column for column in before[name] if column not in ("n_warned",)]
        pd.testing.assert_frame_equal(after[name][columns], before[name][columns])


def test_a_group_that_was_idle_all_the_time_is_judged_without_a_warning(mnist: Condition) -> None:
    """Nothing is left without the idle time, and nothing is divided by it."""
    assert found(mnist, runs([1.0, 2.0, 3.0]), idle(1.0, 2.0, 3.0)) == []
