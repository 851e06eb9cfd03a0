"""What scripts/bench_sidecar.py reads of the samplers' files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import bench_sidecar
from bench_sidecar import read_csv, read_procpath, read_psrecord

S = 1_000_000_000


@pytest.fixture(autouse=True)
def clocks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_sidecar, "unix_ahead_ns", lambda: 0)


def test_percent_of_psrecord_add_up_to_cpu_time(tmp_path: Path) -> None:
    (tmp_path / "psrecord.start").write_text(str(5 * S))
    rows = "elapsed_time,cpu,mem_virtual\n0,0,1\n1,50,1\n3,100,1\n4,100,\n"
    (tmp_path / "psrecord.csv").write_text(rows)
    assert read_psrecord(tmp_path) == [(5 * S, 0.0), (6 * S, 0.5 * S), (8 * S, 2.5 * S)]


def test_procpath_keeps_the_time_of_processes_that_ended(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "procpath.sqlite") as connection:
        columns = "ts REAL, stat_pid, stat_starttime, stat_utime, stat_stime"
        connection.execute(f"CREATE TABLE record ({columns})")
        rows = [(1.0, 7, 1, 100, 0), (1.0, 8, 1, 50, 50), (2.0, 7, 1, 200, 0)]
        connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    assert read_procpath(tmp_path) == [(S, 2.0 * S), (2 * S, 3.0 * S)]


def test_rows_without_a_value_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("t_mono_ns,cpu_s\n1,0.5\n2,\n3,0.75\n")
    assert read_csv(tmp_path / "rows.csv", "cpu_s") == [(1, 0.5 * S), (3, 0.75 * S)]
