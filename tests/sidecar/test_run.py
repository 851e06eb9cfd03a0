"""`sidecar run` on known loads: CPU, memory, rows, header."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground import sidecar
from evenground.sidecar.columns import COLUMNS, GPU_COLUMNS

Call = Callable[..., Any]
# Of the two sources of CPU, the one that is there for everybody is tested always.
BOTH_SOURCES = [
    pytest.param(["--no-cgroup"], id="processes"),
    pytest.param([], id="default", marks=pytest.mark.slow),
]
MEMORY_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

BUSY = "burn(0.8)"
HALF = "end = time.time() + 1.2\nwhile time.time() < end:\n    burn(0.02)\n    time.sleep(0.02)\n"
SHORT_CHILDREN = """
for _ in range(60):
    if not (pid := os.fork()):
        burn(0.01)
        os._exit(0)
    os.waitpid(pid, 0)
"""
DEEP = """
for _ in range(4):
    if os.fork():
        os.wait()
        os._exit(0)
    burn(0.15)
"""
ORPHAN = """
mark = sys.argv[1]
if not os.fork():
    if not os.fork():
        os.setsid()
        burn(0.5)
        with open(mark + ".part", "w") as file: file.write(f"{time.time_ns()} {time.process_time()}")
        os.rename(mark + ".part", mark)
        os._exit(0)
    os._exit(0)
os.wait()
while not os.path.exists(mark): time.sleep(0.05)
time.sleep(0.3)
"""


def assert_steady(got: Any, until_s: float) -> None:
    """A load of constant speed makes a straight line: a counter that lags to the end does not."""
    times = [int(row["t_mono_ns"]) for row in got.rows]
    shares = [(time - times[0]) / (times[-1] - times[0]) for time in times]
    off = [cpu - share * until_s for cpu, share in zip(got.column("cpu_s"), shares, strict=True)]
    assert max(map(abs, off)) < 0.4 * until_s


@pytest.mark.parametrize("options", BOTH_SOURCES)
@pytest.mark.parametrize(
    "load", [BUSY, HALF, SHORT_CHILDREN, DEEP], ids=["busy", "half", "short", "deep"]
)
def test_sampled_cpu_is_the_kernels_total(
    load: str, options: list[str], measure: Call, python: Call
) -> None:
    got = measure(python(load), *options)
    cpu_s = got.column("cpu_s")
    assert got.summary["cpu_s"] > 0.4
    assert cpu_s[-1] == pytest.approx(got.summary["cpu_s"], rel=0.002)
    assert cpu_s == sorted(cpu_s)
    assert_steady(got, until_s=cpu_s[-1])


@pytest.mark.parametrize("options", BOTH_SOURCES)
def test_an_orphan_is_counted_while_it_runs_and_after_its_end(
    options: list[str], measure: Call, python: Call, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    got = measure(python(ORPHAN, mark), *options)
    ended_ns, orphan_cpu_s = mark.read_text().split()
    before = [float(row["cpu_s"]) for row in got.rows if int(row["t_unix_ns"]) < int(ended_ns)]
    after = [float(row["cpu_s"]) for row in got.rows if int(row["t_unix_ns"]) > int(ended_ns)]
    assert before[-1] > 0.5 * float(orphan_cpu_s)
    assert min(after) >= float(orphan_cpu_s)
    assert after[-1] == pytest.approx(got.summary["cpu_s"], rel=0.02)
    assert got.summary["survivors"] == 0


def test_resident_memory_reaches_the_plateau(measure: Call, python: Call) -> None:
    size = 150 * 2**20
    text = "before = int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
    text += f"held = bytearray(b'x') * {size}\nprint(before)\ntime.sleep(0.7)"
    got = measure(python(text))
    plateau = float(got.stdout) + size
    assert got.column("rss_bytes")[-3] == pytest.approx(plateau, rel=0.02)
    assert got.summary["max_rss_bytes"] == max(got.column("rss_bytes"))
    assert got.summary["peak_process_rss_bytes"] == pytest.approx(plateau, rel=0.02)


def test_memory_and_number_of_processes_are_summed_over_the_tree(
    measure: Call, python: Call
) -> None:
    got = measure(
        python("held = bytearray(b'x') * 2**25\nfor _ in range(2): os.fork()\ntime.sleep(0.6)")
    )
    assert max(got.column("processes")) == 4
    assert 4 * 2**25 < got.summary["max_rss_bytes"] < 6 * 2**25


def test_ten_rows_a_second_on_time(measure: Call) -> None:
    got = measure(["sleep", "2.05"])
    assert len(got.rows) == got.summary["rows"] >= 0.95 * 22
    assert got.summary["rows"] + got.summary["missed_slots"] == 22
    assert int(got.rows[0]["t_unix_ns"]) - got.summary["launched_unix_ns"] < 100_000_000
    assert abs(int(got.rows[-1]["t_unix_ns"]) - got.summary["exited_unix_ns"]) < 100_000_000
    zero, times = got.header["slot_zero_mono_ns"], [int(row["t_mono_ns"]) for row in got.rows]
    late = sorted((time - zero) % 100_000_000 for time in times[:-1])
    assert late[len(late) // 2] < 20_000_000
    assert [int(row["interval_ns"]) for row in got.rows[1:]] == [
        b - a for a, b in itertools.pairwise(times)
    ]


def test_a_very_short_command_has_its_first_and_last_row(measure: Call) -> None:
    got = measure(["true"])
    assert got.status == 0 and len(got.rows) == 2
    assert got.rows[-1]["processes"] == "0"


def test_the_header_describes_every_column(measure: Call) -> None:
    got = measure(["sleep", "0.3"], "--rate-hz", "50")
    assert list(got.rows[0]) == list(COLUMNS) == list(got.header["columns"])
    for column in got.header["columns"].values():
        assert set(column) == {"unit", "source", "period_s"}
        assert column["unit"] and column["source"] and column["period_s"] in (0, 0.1, 1)
    assert (got.header["schema"], got.header["rate_hz"], got.header["mode"]) == (2, 50.0, "run")
    assert got.header["scheduling"] in ("fifo", "slice", "slack")
    assert got.header["machine"] == {"cores": os.cpu_count(), "memory_bytes": MEMORY_BYTES}
    full = {name for name, column in COLUMNS.items() if not column.period_s} - set(GPU_COLUMNS)
    assert all(row[column] for row in got.rows for column in full)
    assert full.isdisjoint(got.header["missing"])


def test_a_gpu_that_is_not_asked_is_missing_with_its_reason(measure: Call) -> None:
    got = measure(["true"], "--no-gpu")
    assert got.header["missing"] == dict.fromkeys(GPU_COLUMNS, "switched off with --no-gpu")
    assert all(row[column] == "" for row in got.rows for column in GPU_COLUMNS)
    assert got.summary["empty_cells"] == dict.fromkeys(GPU_COLUMNS, len(got.rows))


def test_the_header_is_there_while_the_command_runs(
    start: Call, tmp_path: Path, wait_for: Call
) -> None:
    running = start(["sleep", "30"])
    wait_for(lambda: (tmp_path / "samples.json").exists())
    header = json.loads((tmp_path / "samples.json").read_text())
    assert header["summary"] is None and list(header["columns"]) == list(COLUMNS)
    wait_for(lambda: len((tmp_path / "samples.csv").read_text().splitlines()) > 1)
    running.process.terminate()
    assert running.done().summary["signal"] == 15


def test_the_sidecar_is_cheap(measure: Call) -> None:
    got = measure(["sleep", "2"])
    seconds = (got.summary["exited_unix_ns"] - got.summary["launched_unix_ns"]) / 1e9
    # Meant to be at most 0.005; start of the command included, and other work on the machine, still this.
    assert got.summary["sidecar_sampling_cpu_s"] / seconds < 0.015
    assert got.summary["sidecar_sampling_cpu_s"] < got.summary["sidecar_cpu_s"]


def test_from_python(tmp_path: Path) -> None:
    samples, header, log = tmp_path / "s.csv", tmp_path / "h.json", tmp_path / "log"
    with log.open("w") as file:
        summary = sidecar.run(
            [sys.executable, "-c", "import os, sys; print(os.environ, os.getcwd()); sys.exit(5)"],
            samples=samples,
            header=header,
            gpu=False,
            env={"ONLY": "this"},
            cwd=tmp_path,
            stdout=file,
        )
    assert (summary.exit_code, summary.signal, summary.status()) == (5, None, 5)
    assert "'ONLY': 'this'" in log.read_text() and str(tmp_path) in log.read_text()
    assert "PYTHONPATH" not in log.read_text()
    assert json.loads(header.read_text())["summary"] == summary._asdict()
    assert len(samples.read_text().splitlines()) == summary.rows + 1


def test_from_python_a_sidecar_that_fails_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(sidecar.SidecarError, match="status 125"):
        sidecar.run(["true"], samples=tmp_path / "none" / "s.csv", header=tmp_path / "h.json")
    assert "No such file or directory" in capfd.readouterr().err
