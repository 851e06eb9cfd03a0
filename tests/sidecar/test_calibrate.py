"""`sidecar calibrate`: every figure can fail, and the whole of it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evenground.records.calibration import Calibration
from evenground.sidecar.calibration import calibrate, experiments, gpu_load, judge, loads
from evenground.sidecar.calibration.experiments import (
    CalibrationError,
    Harness,
    NotHere,
    Observed,
)
from evenground.sidecar.calibration.judge import GOALS, Figure, NothingSeen, figure, left_out

MS = 1_000_000
S = 1_000_000_000
TENTHS = range(0, 31)


def straight(share: float, until_ns: int = 3 * S) -> list[tuple[int, float]]:
    """A counter of `share` CPUs in rows at 10 Hz, which ends at `until_ns`."""
    return [(k * S // 10, share * min(k * S // 10, until_ns)) for k in TENTHS]


def account(share: float, begin_ns: int = 0, end_ns: int = 3 * S) -> list[tuple[int, float]]:
    return [(begin_ns, 0.0), (end_ns, share * (end_ns - begin_ns))]


@pytest.mark.parametrize(
    ("at_ns", "value"), [(-5, 1.0), (0, 1.0), (5, 2.0), (10, 3.0), (15, 3.0), (99, 3)]
)
def test_between_marks_values_are_straight_and_outside_they_stay(at_ns: int, value: float) -> None:
    assert judge.interpolate([(0, 1.0), (10, 3.0), (20, 3.0)], at_ns) == value


def test_nothing_can_be_compared_with_a_truth_of_zero() -> None:
    with pytest.raises(ValueError, match="truth is 0"):
        judge.error_pct(1.0, 0.0)


@pytest.mark.parametrize(("sampled", "error_pct"), [(0.5, 0.0), (0.51, 2.0), (0.4, -20.0)])
def test_a_share_is_compared_between_the_same_two_rows(sampled: float, error_pct: float) -> None:
    got = judge.growth_error_pct(straight(sampled), [account(0.2), account(0.3)], (S // 7, 2 * S))
    assert got == pytest.approx(error_pct)


def test_a_share_needs_two_rows() -> None:
    with pytest.raises(NothingSeen, match="one row only"):
        judge.growth_error_pct(straight(1.0), [account(1.0)], (S, S + MS))
    with pytest.raises(NothingSeen, match="no row"):
        judge.growth_error_pct(straight(1.0), [account(1.0)], (4 * S, 5 * S))


def children_truth() -> dict[str, Any]:
    """Two CPU seconds of children between 0.35 and 2.35 s."""
    marks = [(350 * MS, 0.0), (2350 * MS, 2.0 * S), (2850 * MS, 2.0 * S)]
    return {"begin_ns": 350 * MS, "end_ns": 2350 * MS, "final_ns": 2850 * MS, "accounts": [marks]}


@pytest.mark.parametrize(("kept", "error_pct"), [(1.0, 0.0), (0.985, -1.5), (0.0, -100.0)])
def test_lost_children_are_an_error(kept: float, error_pct: float) -> None:
    truth = children_truth()
    rows = [
        (at_ns, kept * judge.interpolate(truth["accounts"][0], at_ns)) for at_ns, _ in straight(1.0)
    ]
    assert experiments.work_error_pct(rows, truth) == pytest.approx(error_pct)


def test_children_that_only_the_last_row_knows_of_are_an_error() -> None:
    rows = [(at_ns, 0.0) for at_ns, _ in straight(1.0) if at_ns < 2850 * MS] + [
        (2900 * MS, 2.0 * S)
    ]
    assert experiments.work_error_pct(rows, children_truth()) == -100.0


def test_the_error_is_of_the_work_only() -> None:
    """One core is busy from 10 s to 12 s; the sampler misses a fifth of it."""
    marks = [(0, 5 * S), (10 * S, 5 * S), (12 * S, 7 * S)]
    truth = {"begin_ns": 10 * S, "final_ns": 13 * S, "accounts": [marks]}
    rows = [(9 * S, 4.0 * S), (11 * S, 5.0 * S), (12 * S, 5.6 * S), (14 * S, 9.0 * S)]
    assert experiments.work_error_pct(rows, truth) == pytest.approx(-20)


def orphan_truth() -> dict[str, Any]:
    orphan = [(500 * MS, 0.0), (1500 * MS, 1.0 * S)]
    main = [(500 * MS, 0.0), (2000 * MS, 0.0)]
    return {
        "begin_ns": 500 * MS,
        "end_ns": 1510 * MS,
        "final_ns": 2000 * MS,
        "accounts": [main, orphan],
    }


@pytest.mark.parametrize(
    ("while_it_runs", "after", "worst"),
    [(1, 1, 0), (0.9, 1, 10), (1, 0.94, 6), (0, 1, 100), (1, 1.2, 20)],
)
def test_an_orphan_is_judged_while_it_runs_and_after(
    while_it_runs: float, after: float, worst: float
) -> None:
    truth = orphan_truth()
    rows = [
        (
            at_ns,
            judge.total(truth["accounts"], at_ns)
            * (while_it_runs if at_ns <= 1500 * MS else after),
        )
        for at_ns, _ in straight(1.0)
    ]
    assert experiments.orphan_worst_pct(rows, truth) == pytest.approx(worst)


def test_the_worst_row_of_any_plateau_counts() -> None:
    plateaus = [[(0, 100.0), (S, 100.0)], [(S, 200.0), (2 * S, 202.0)]]
    good = [(k * S // 10, 100.0 if k < 10 else 200.0 + (k - 10) / 5) for k in range(20)]
    assert experiments.plateau_error_pct(good, {"plateaus": plateaus}) == pytest.approx(0)
    bad = [(at_ns, value * (0.99 if at_ns == 1500 * MS else 1.001)) for at_ns, value in good]
    assert experiments.plateau_error_pct(bad, {"plateaus": plateaus}) == pytest.approx(-1.0)


@pytest.mark.parametrize(("value", "error_pct"), [(320.0, 0.0), (1280.0, 300.0), (310.0, -3.125)])
def test_shared_memory_counts_once(value: float, error_pct: float) -> None:
    truth = {"pss": [[(0, 64.0), (3 * S, 64.0)]] * 5, "shared_ns": [S, 2 * S]}
    rows = [(S // 2, 0.0), (1500 * MS, value)]
    assert experiments.pss_error_pct(rows, truth) == pytest.approx(error_pct)


@pytest.mark.parametrize(("seen_ms", "delay_ms"), [(480, 0), (520, 10), (650, 140), (None, 190)])
def test_a_memory_step_shows_in_the_first_row_that_has_it(
    seen_ms: int | None, delay_ms: float
) -> None:
    truth = {"memory": [[470 * MS, 510 * MS, 700 * MS, 1000]]}
    rows = [(at_ms * MS, 5000.0) for at_ms in range(0, 480, 10)]
    rows += [
        (at_ms * MS, 5950.0 if seen_ms is not None and at_ms >= seen_ms else 5890.0)
        for at_ms in range(480, 900, 10)
    ]
    assert experiments.memory_delay_ms(rows, truth) == delay_ms


@pytest.mark.parametrize(("lag_ms", "delay_ms"), [(0, 60), (41, 60), (45, 160), (500, 170)])
def test_a_cpu_step_shows_with_its_first_millisecond(lag_ms: int, delay_ms: float) -> None:
    truth = {"cpu": [[1040 * MS, 1210 * MS, 170 * MS]]}
    rows = [
        (at_ns, 7.0 * S + min(170 * MS, max(0, at_ns - (1055 + lag_ms) * MS)))
        for at_ns, _ in straight(1.0)
    ]
    assert experiments.cpu_delay_ms(rows, truth) == delay_ms


def test_a_skipped_deadline_is_a_late_one() -> None:
    due_ns = judge.deadlines(7, 10.0, (7, 7 + 6 * S // 10))
    assert due_ns == [7 + k * S // 10 for k in range(7)]
    rows = [7 + 1 * MS, 7 + 102 * MS, 7 + 450 * MS, 7 + 503 * MS]
    assert [late // MS for late in judge.lateness_ns(rows, due_ns)] == [1, 2, 250, 150, 50, 3]
    assert judge.served_pct(rows, due_ns) == pytest.approx(100 * 4 / 6)
    assert judge.served_pct(due_ns, due_ns) == 100


def test_deadlines_begin_with_the_samplers_first() -> None:
    assert judge.deadlines(5 * S, 3.0, (0, 6 * S)) == [5 * S, 5333333334, 5666666667, 6 * S]
    with pytest.raises(NothingSeen):
        judge.deadlines(5 * S, 3.0, (0, 4 * S))
    with pytest.raises(NothingSeen):
        judge.served_pct([1], [1])
    with pytest.raises(NothingSeen):
        judge.lateness_ns([], [1])


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentile_is_a_value_that_was_there(share: float, value: int) -> None:
    assert judge.percentile(list(range(100, 0, -1)), share) == value


def test_own_cpu_is_per_second() -> None:
    assert judge.ms_per_s([(S, 7 * MS), (3 * S, 17 * MS)]) == 5.0


@pytest.mark.parametrize("name", [name for name, goal in GOALS.items() if goal.limit is not None])
def test_every_goal_can_be_met_and_missed(name: str) -> None:
    limit = GOALS[name].limit
    assert limit is not None
    better, worse = (1.01, 0.99) if GOALS[name].at_least else (0.99, 1.01)
    assert figure(name, lambda: limit).passed is True
    assert figure(name, lambda: limit * better).passed is True
    assert figure(name, lambda: limit * worse).passed is False


def test_rows_that_hold_nothing_fail_and_what_is_not_here_does_not() -> None:
    def nothing() -> float:
        raise NothingSeen("no row while the load was there")

    assert figure("half_core", nothing)[-3:] == (None, False, "no row while the load was there")
    assert left_out("half_core", "not here")[-3:] == (None, None, "not here")
    assert figure("loop_idle_p99", lambda: 9.9)[-3:] == (9.9, None, "for comparison")
    assert figure("orphan", lambda: 3.0, judge.ORPHAN_IN_CGROUP_PCT).passed is False


def values(*measured: float) -> list[Figure]:
    return [figure("half_core", lambda value=value: value) for value in measured]  # type: ignore[misc]


def test_of_one_name_the_worst_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "EXPERIMENTS", (lambda *_: values(0.1, 3.0, 0.2),))
    measured = {one.name: one.measured for one in calibrate.calibrate(0.1).figures}
    assert list(measured) == list(GOALS) and measured["half_core"] == 3.0


def observed(rows: list[dict[str, str]], truth: dict[str, Any], **header: Any) -> Observed:
    return Observed(rows, header, truth)


@pytest.mark.parametrize(
    ("last_s", "passed"), [(2.5, [True, True]), (2.504, [True, False]), (2.4, [False] * 2)]
)
def test_the_last_row_is_compared_with_kernel_and_load(last_s: float, passed: list[bool]) -> None:
    seen = observed(
        [{"cpu_s": str(last_s)}], {"own_cpu_ns": int(2.498 * S)}, summary={"cpu_s": 2.501}
    )
    assert [one.passed for one in experiments.totals(seen)] == passed


def test_a_short_loads_account_misses_too_much_of_its_end() -> None:
    seen = observed([{"cpu_s": "0.6"}], {"own_cpu_ns": int(0.6 * S)}, summary={"cpu_s": 0.6})
    assert [one.name for one in experiments.totals(seen)] == ["cpu_total_kernel"]


def gpu_seen(rise: float, util: float, gpus: int = 1, desktop: int = 0) -> Observed:
    """A second each: before, ballast held, spinning."""
    rows = [
        {
            "t_mono_ns": str(k * S // 10),
            "vram_used_bytes": str(1000 + rise * (k >= 11)),
            "gpu_util_pct": str(util if k > 20 else 0.0),
            "gpu_foreign_processes": "0",
            "gpu_desktop_processes": str(desktop),
        }
        for k in TENTHS
    ]
    truth = {
        "ballast_bytes": 500,
        "before_ns": [0, S],
        "held_ns": [S + 1, 2 * S],
        "spin_ns": [2 * S, 3 * S],
    }
    return observed(rows, truth, gpus=[{}] * gpus, missing={"gpu_util_pct": "no card"})


@pytest.mark.parametrize(
    ("rise", "util", "passed"),
    [(500, 90, [True, True]), (485, 90, [False, True]), (505, 30, [True, False])],
)
def test_the_gpus_memory_and_use_are_judged(rise: float, util: float, passed: list[bool]) -> None:
    assert [one.passed for one in experiments.gpu_figures(gpu_seen(rise, util))] == passed


def test_whatever_goes_wrong_on_a_gpu_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    harness = Harness(tmp_path)
    monkeypatch.setattr(gpu_load, "no_cuda", lambda: "no driver")
    assert {one.reason for one in experiments.gpu(harness, 1.0)} == {"no driver"}
    monkeypatch.setattr(gpu_load, "no_cuda", lambda: None)
    monkeypatch.setattr(harness, "on_gpu", lambda seconds: gpu_seen(500, 90, gpus=0))
    assert {one.reason for one in experiments.gpu(harness, 1.0)} == {"no card"}
    monkeypatch.setattr(harness, "on_gpu", lambda seconds: 1 / 0)
    assert {(one.passed, one.reason) for one in experiments.gpu(harness, 1.0)} == {
        (None, "division by zero")
    }


class FakeCuda:
    """Answers every call with success, except one."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[str] = []
        self._failing = failing

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append(name)
            return 2 if name == self._failing else 0

        return call


def test_the_gpu_load_takes_memory_spins_and_gives_back() -> None:
    cuda = FakeCuda()
    truth = gpu_load.measure(gpu_load.Card(cuda), 0.01)
    assert list(dict.fromkeys(cuda.calls)) == [
        "cuInit",
        "cuDeviceGet",
        "cuCtxCreate_v2",
        "cuMemAlloc_v2",
        "cuMemsetD8_v2",
        "cuCtxSynchronize",
        "cuMemFree_v2",
        "cuCtxDestroy_v2",
    ]
    moments = [*truth["before_ns"], *truth["held_ns"], *truth["spin_ns"]]
    assert moments == sorted(moments)
    with pytest.raises(gpu_load.CudaError, match="cuMemAlloc_v2 failed with CUDA error 2"):
        gpu_load.measure(gpu_load.Card(FakeCuda("cuMemAlloc_v2")), 0.01)


def test_without_a_cuda_driver_the_gpu_load_says_so(tmp_path: Path) -> None:
    if gpu_load.no_cuda() is None:
        pytest.skip("there is a CUDA driver here")
    truth = tmp_path / "truth.json"
    subprocess.run(
        [sys.executable, "-I", "-S", gpu_load.__file__, str(truth), "0.1", "GPU"],
        check=True,
    )
    assert "libcuda" in json.loads(truth.read_text())["error"]


SHORT: dict[str, dict[str, float]] = {
    "idle": {"seconds": 0.1},
    "timed_loop": {"rate_hz": 100, "seconds": 0.1},
    "half_core": {"seconds": 0.1},
    "full_cores": {"processes": 2, "seconds": 0.1},
    "short_children": {"children": 5, "cpu_s": 0.005},
    "orphan": {"seconds": 0.1},
    "memory_steps": {"seconds": 0.1},
    "shared_memory": {"processes": 3, "seconds": 0.1},
    "steps": {"count": 1},
}


def test_every_load_is_tried() -> None:
    assert set(SHORT) == set(loads.LOADS)


@pytest.mark.parametrize("load", SHORT)
def test_a_load_writes_its_truth(load: str, tmp_path: Path) -> None:
    truth = Harness(tmp_path).alone(load, lead_s=0.01, **SHORT[load])
    assert truth["begin_ns"] < truth["end_ns"] < truth["final_ns"]
    assert all(
        at == sorted(at) for at in ([mark[0] for mark in marks] for marks in truth["accounts"])
    )
    ends_ns = sum(marks[-1][1] for marks in truth["accounts"])
    assert 0.9 * ends_ns < truth["own_cpu_ns"] < ends_ns + 0.2 * S


def test_a_load_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="the load idle ended with status 1: TypeError"):
        Harness(tmp_path).alone("idle", minutes=3)
    with pytest.raises(NotHere, match="no_such_load"):
        Harness(tmp_path).alone("no_such_load")


def calibration(*figures: Figure) -> calibrate.Calibration:
    return calibrate.Calibration(figures, False, 1.0, calibrate.machine(), {})


@pytest.mark.parametrize(
    ("figures", "status"),
    [(values(1.0), 0), (values(3.0), 1), ([left_out("gpu_util", "no GPU")], 0)],
)
def test_the_status_says_whether_all_passed(
    figures: list[Figure], status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(calibrate, "calibrate", lambda *_, **__: calibration(*figures))
    output = tmp_path / "c.json"
    assert calibrate.calibrate_command(output, quick=True) == status
    written = Calibration.read(output)
    assert written.passed == (status == 0)
    assert written.content() == json.loads(output.read_text()), "the model has all that is written"
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_a_calibration_that_cannot_run_is_no_failed_figure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise CalibrationError("the load idle ended with status 3: no room")

    monkeypatch.setattr(calibrate, "calibrate", fail)
    assert calibrate.calibrate_command(tmp_path / "c.json", quick=True) == 125
    assert "the calibration failed: the load idle" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_a_load_cannot_do_here_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def not_here(harness: Harness, load_s: float) -> list[Figure]:
        raise NotHere("no VmHWM in this kernel")

    monkeypatch.setattr(calibrate, "EXPERIMENTS", (not_here,))
    done = calibrate.calibrate(0.1)
    assert {one.reason for one in done.figures} == {"no VmHWM in this kernel"}
    assert [one.name for one in done.figures] == list(GOALS) and done.passed


def test_rows_that_make_no_sense_are_a_failed_calibration_not_a_missed_goal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        calibrate, "EXPERIMENTS", (lambda harness, load_s: [figure("orphan", lambda: [][0])],)
    )
    assert calibrate.calibrate_command(None, quick=False) == 125
    assert "the calibration failed" in capsys.readouterr().err


@pytest.mark.slow
def test_calibrate_quick_from_the_command_line(tmp_path: Path) -> None:
    output = tmp_path / "calibration.json"
    text = "import sys; sys.path.insert(0, sys.argv.pop(1)); import evenground.sidecar.__main__"
    source = str(Path(calibrate.__file__).parents[3])
    words = [
        sys.executable,
        "-I",
        "-c",
        text,
        source,
        "calibrate",
        "--quick",
        "--output",
        str(output),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    written = Calibration.read(output)
    assert written.content() == json.loads(output.read_text())
    figures = written.figures
    assert list(figures) == list(GOALS) and len(done.stdout.splitlines()) == 1 + len(GOALS)
    assert all(one.measured is not None or one.reason for one in figures.values())
    assert written.passed is (done.returncode == 0) is (written.failed() == [])
    for name in ("cpu_total_kernel", "short_children", "memory_plateau", "memory_peak"):
        assert figures[name].passed, figures[name]
