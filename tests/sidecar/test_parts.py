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
from evenground.sidecar.machine import Machine, cpu_since_boot_pct, machine_used_bytes
from evenground.sidecar.output import SampleFile, write_json
from evenground.sidecar.summary import Summary
from evenground.sidecar.timing import Slots


@given(st.floats(0.01, 1000), st.integers(0, 10**18), st.lists(st.integers(0, 10**10), max_size=40))
def test_every_slot_is_served_or_counted_as_missed(rate_hz: float, zero_ns: int, naps: list[int]) -> None:
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


def test_since_boot_is_the_formula_of_unixstats() -> None:
    assert cpu_since_boot_pct(b"cpu  30 999 20 50 7 7 7 0 0 0\ncpu0 1 1 1 1\n") == 50.0


@pytest.mark.parametrize("text", [b"", b"cpu 1 2\n", b"intr 1 2 3 4 5\n"])
def test_a_stat_without_cpu_times_is_no_value(text: bytes) -> None:
    with pytest.raises(ValueError, match="CPU times"):
        cpu_since_boot_pct(text)


def test_used_memory_is_total_minus_available() -> None:
    meminfo = b"MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  400 kB\nBuffers: 1 kB\nCac"
    assert machine_used_bytes(meminfo) == 600 * 1024


def test_each_machine_value_fails_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\n")
    missing = Missing()
    machine = Machine(missing, str(tmp_path))
    assert machine.cpu_since_boot_pct() is None
    assert machine.machine_used_bytes() is None
    assert missing.reasons() == {
        "cpu_since_boot_pct": "No such file or directory",
        "machine_used_bytes": "/proc/meminfo has no MemTotal or no MemAvailable",
    }


def test_reasons_are_collected_once_each_and_cells_counted() -> None:
    missing = Missing()
    for reason in ("a", "b", "a"):
        missing.note("gpu_power_w", reason)
    assert missing.reasons() == {"gpu_power_w": "a; b"}
    assert missing.cells == {"gpu_power_w": 3}


def test_rows_reach_the_file_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    file = SampleFile(path)
    assert path.read_text() == ",".join(COLUMNS) + "\n"
    file.add([1, None, 0.1], 10**9)
    file.add([2, None, 1e-9], 10**9 + 10**8)
    assert path.read_text().splitlines()[1:] == ["1,,0.1"]
    file.add([3, None, 2.0], 2 * 10**9)
    assert path.read_text().splitlines()[1:] == ["1,,0.1", "2,,1e-09", "3,,2.0"]
    file.close()


def test_rows_that_do_not_fit_wait_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SampleFile(tmp_path / "samples.csv")
    write, room = os.write, [3]

    def full(fd: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(fd, data[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            file.add([12345], 10**9)
    file.close()
    assert (tmp_path / "samples.csv").read_text().splitlines()[1:] == ["12345"]


def test_the_header_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "samples.json"
    write_json(path, {"a": 1})
    with path.open() as old:
        write_json(path, {"a": 2})
        assert json.load(old) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["samples.json"] and json.loads(path.read_text()) == {
        "a": 2
    }


@pytest.mark.parametrize(
    ("summary", "status"),
    [
        (Summary(0, 0, exit_code=3), 3),
        (Summary(0, 0, exit_code=0), 0),
        (Summary(0, 0, signal=11), 139),
        (Summary(0, 0, signal=15, timed_out=True), 124),
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
        (["run", "--samples", "s.csv", "--time-limit-s", "inf", "--", "true"], "'inf' is not a number"),
        (["run", "--", "true"], "--samples"),
    ],
)
def test_wrong_options_are_named(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err
