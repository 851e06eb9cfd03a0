"""Deadlines, files, whole-machine values, options: what needs no command."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenground.sidecar import cli
from evenground.sidecar.columns import COLUMNS, Missing
from evenground.sidecar.machine import (
    Machine,
    cpu_since_boot_pct,
    free_used_bytes,
    machine_used_bytes,
)
from evenground.sidecar.output import SampleFile, write_json
from evenground.sidecar.summary import Summary
from evenground.sidecar.timing import MAX_LEAD_NS, Alarm, Slots


@given(st.floats(0.01, 1000), st.integers(0, 10**18), st.lists(st.integers(0, 10**10), max_size=40))
def test_every_slot_is_served_or_counted_as_missed(
    rate_hz: float, zero_ns: int, naps: list[int]
) -> None:
    slots, now, served, missed = Slots(zero_ns, rate_hz), zero_ns, 0, 0
    for nap in naps:
        now += nap
        skipped = slots.serve(now)
        if skipped is not None:
            served, missed = served + 1, missed + skipped
        assert slots.deadline_ns() > now
        due = int((now - zero_ns) * 1e-9 * rate_hz)
        assert abs(served + missed - (due + 1)) <= 1


def test_deadlines_do_not_drift() -> None:
    slots = Slots(7, 3.0)
    for k in range(3000):
        assert slots.deadline_ns() == 7 + -(-k * 10**9 // 3)
        assert slots.serve(slots.deadline_ns()) == 0


@pytest.mark.parametrize("usual_ns", [0, 20_000, 150_000, 5_000_000])
def test_the_alarm_learns_how_late_this_machine_wakes(
    usual_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm, clock = Alarm(100_000_000), [0]

    def now() -> int:
        clock[0] += 1_000  # reading the clock takes its time, and waiting awake ends
        return clock[0]

    monkeypatch.setattr("time.monotonic_ns", now)
    late = []
    for k in range(1, 201):
        deadline = k * 100_000_000
        clock[0] = alarm.set_for(deadline) + usual_ns
        late.append(alarm.woke(deadline) - deadline)
    assert min(late) >= 0
    assert late[-1] <= max(10_000, usual_ns - MAX_LEAD_NS + 2_000)


def test_however_late_wake_ups_are_the_lead_stays_a_twentieth_of_a_period() -> None:
    for period_ns in (10_000, 1_000_000, 100_000_000):
        alarm = Alarm(period_ns)
        for _ in range(300):
            alarm.woke(0)  # long ago: as late as can be
        assert period_ns - alarm.set_for(period_ns) <= min(MAX_LEAD_NS, period_ns / 20)


def test_since_boot_is_the_formula_of_unixstats() -> None:
    assert cpu_since_boot_pct(b"cpu  30 999 20 50 7 7 7 0 0 0\ncpu0 1 1 1 1\n") == 50.0


@pytest.mark.parametrize("text", [b"", b"cpu 1 2\n", b"intr 1 2 3 4 5\n"])
def test_a_stat_without_cpu_times_is_no_value(text: bytes) -> None:
    with pytest.raises(ValueError, match="CPU times"):
        cpu_since_boot_pct(text)


MEMINFO = (
    b"MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  400 kB\nBuffers: 20 kB\nCached: 200 kB\n"
)
MEMINFO += b"SwapCached: 7 kB\nSReclaimable: 30 kB\nSUnre"


def test_used_memory_is_total_minus_available() -> None:
    assert machine_used_bytes(MEMINFO) == 600 * 1024


def test_used_memory_as_an_older_free_printed_it() -> None:
    assert free_used_bytes(MEMINFO) == 650 * 1024


def test_each_machine_value_fails_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\nMemAvailable: 4 kB\nMemFree: 1 kB\n")
    missing = Missing()
    assert Machine(missing, str(tmp_path)).read(10**9) == [None, 6 * 1024, None]
    assert missing.reasons() == {
        "cpu_since_boot_pct": "No such file or directory",
        "free_used_bytes": "/proc/meminfo has no Buffers",
    }


def test_the_machine_is_read_at_most_ten_times_a_second_and_no_cell_between_counts_as_missing() -> (
    None
):
    missing = Missing()
    machine = Machine(missing)
    read = [all(value is not None for value in machine.read(10**9 + k * 10**7)) for k in range(40)]
    assert sum(read) in (4, 5) and read[0] and not any(read[1:9])
    assert missing.cells == {} and missing.reasons() == {}


def test_reasons_are_collected_once_each_and_cells_counted() -> None:
    missing = Missing()
    for reason in ("a", "b", "a"):
        missing.note("gpu_power_w", reason)
    assert missing.reasons() == {"gpu_power_w": "a; b"}
    assert missing.cells == {"gpu_power_w": 3}


def test_rows_wait_until_they_are_written_and_may_be_changed_so_long(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    file = SampleFile(path, COLUMNS)
    assert path.read_text() == ",".join(COLUMNS) + "\n"
    file.waiting.append([1, None, 0.1])
    file.waiting.append([2, None, 1e-9])
    assert path.read_text().splitlines()[1:] == []
    file.waiting[0][2] = None
    file.flush()
    assert path.read_text().splitlines()[1:] == ["1,,", "2,,1e-09"] and file.waiting == []
    file.waiting.append([3, None, 2.0])
    file.close()
    assert path.read_text().splitlines()[3] == "3,,2.0"


def test_rows_that_do_not_fit_wait_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SampleFile(tmp_path / "samples.csv", COLUMNS)
    write, room = os.write, [3]

    def full(fd: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(fd, data[: room.pop()])

    file.waiting.append([12345])
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            file.flush()
    file.close()
    assert (tmp_path / "samples.csv").read_text().splitlines()[1:] == ["12345"]


def test_the_header_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "samples.json"
    write_json(path, {"a": 1})
    with path.open() as old:
        write_json(path, {"a": 2})
        assert json.load(old) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["samples.json"] and json.loads(
        path.read_text()
    ) == {"a": 2}


@pytest.mark.parametrize(
    ("summary", "status"),
    [
        (Summary(0, 0, 0, 0, exit_code=3), 3),
        (Summary(0, 0, 0, 0, exit_code=0), 0),
        (Summary(0, 0, 0, 0, signal=11), 139),
        (Summary(0, 0, 0, 0, signal=15, timed_out=True), 124),
    ],
)
def test_status_as_a_shell_shows_it(summary: Summary, status: int) -> None:
    assert summary.status() == status


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "--samples", "s.csv"], "the command is missing"),
        (["run", "--samples", "s.csv", "--"], "the command is missing"),
        (["run", "--samples", "s.csv", "--rate-hz", "0", "--", "true"], "above 0 and at most 1000"),
        (["run", "--samples", "s.csv", "--rate-hz", "nan", "--", "true"], "'nan' is not a number"),
        (
            ["run", "--samples", "s.csv", "--time-limit-s", "inf", "--", "true"],
            "'inf' is not a number",
        ),
        (["run", "--", "true"], "--samples"),
        (["run", "--samples", "s.json", "--", "true"], "are the same file"),
        (["run", "--samples", "s.csv", "--cpus", "3-1", "--", "true"], "cpu_list value: '3-1'"),
        (["attach", "--pid", "1", "--cpus", "0"], "unrecognized arguments: --cpus"),
        (["attach", "--pid", "1", "--mapped", "m"], "unrecognized arguments: --mapped"),
        (["run", "--samples", "s.csv", "--mapped", "m/", "--", "true"], "'m/' names no file"),
        (["attach", "--pid", "1", "--", "true"], "'attach' takes no command"),
    ],
)
def test_wrong_options_are_named(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err
