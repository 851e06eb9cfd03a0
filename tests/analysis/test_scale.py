"""Thousand generated runs of a minute at 10 Hz, to tables, figures and the page: time and memory.

A benchmark that is kept: `pytest -s -m slow tests/analysis/test_scale.py` prints the figures.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import synthetic
from analysis.synthetic import Made, MadeResults

SCRIPTS = Path(__file__).parents[2] / "scripts"
# CPU seconds, which a busy machine does not stretch as it does time.
LIMIT_S = 60.0
LIMIT_BYTES = 2 * 2**30
GROWTH = 11.0
JUDGING_CPU_S = 2.0
# Who is who of the claims among the made engines and datasets.
PLAYED = {"elixir": "jax", "mnist": "digits", "cifar10": "shapes"}
# Prints its own peak when it has done what a script does.
PEAK = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def minute(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
    """A run of 60 s, each repetition a little longer."""
    return Made(
        load_s=4.0, first_batch_s=2.0, steady_s=50.0 + 0.01 * repetition, evaluate_s=1.0, gpu=gpu
    )


def report(folder: Path, runs: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, int, float]:
    """CPU seconds and peak bytes of all steps for `runs` runs, and CPU seconds of judging alone."""
    monkeypatch.setattr(synthetic, "made_run", minute)
    made = synthetic.write_results(
        folder, MadeResults(repetitions=runs // 4, gpu=True, stand_ins=PLAYED)
    )
    results = made.parent
    index, frames, tables = (
        ["--index", made],
        ["--normalised", results / "normalised"],
        results / "tables",
    )
    record, metrics = results / "verdicts.json", ["--metrics", results / "metrics.json"]
    steps = [
        ["normalise.py", *index, "--output-dir", results / "normalised"],
        ["tables.py", *index, *frames, *metrics, "--output-dir", tables],
        ["verdicts.py", *index, *frames, "--output-dir", tables, "--record", record],
        ["figures.py", *index, *frames, "--tables", tables, "--output-dir", results / "figures"],
        ["page.py", *index, "--results", results, "--output", results / "report.html"],
    ]
    total_s, peak = 0.0, 0
    judging_s = math.nan
    for script, *arguments in steps:
        command = [sys.executable, "-c", PEAK, str(SCRIPTS / str(script)), *map(str, arguments)]
        took_s, output = run(command)
        peak = max(peak, int(output.split()[-1]))
        print(f"{runs} runs, {script}: {took_s:.1f} CPU s")
        if script == "verdicts.py":
            start_s, _ = run([sys.executable, str(SCRIPTS / script), "--help"])
            judging_s = took_s - start_s
            print(f"{runs} runs, {script}: {judging_s:.2f} CPU s without its start")
        total_s += took_s
    return total_s, peak, judging_s


def run(command: list[str]) -> tuple[float, str]:
    """CPU seconds of a command and its children, and its output."""
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True)
    after = os.times()
    assert done.returncode == 0, done.stderr
    user_s = after.children_user - before.children_user
    system_s = after.children_system - before.children_system
    return user_s + system_s, done.stdout


@pytest.mark.slow
def test_a_thousand_runs_of_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_s, _, _ = report(tmp_path / "few", 100, monkeypatch)
    many_s, peak, judging_s = report(tmp_path / "many", 1000, monkeypatch)
    assert judging_s < JUDGING_CPU_S
    assert many_s < LIMIT_S and peak < LIMIT_BYTES
    assert many_s < GROWTH * few_s
