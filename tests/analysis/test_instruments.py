"""What each instrument makes of a run; that of the thesis as it wrote its numbers, down to its zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.remade import change_run
from analysis.synthetic import Made, MadeResults, write_results
from claims.made import THESIS, changed, experiment, verdicts
from evenground.analysis.instruments import (
    AFTER_LAUNCH,
    CARD_BYTES,
    MAX_SLOW,
    SILENT,
    as_published,
    corrected,
    is_silent,
    own_vram_bytes,
)
from evenground.analysis.measures import end_to_peak, kept, peak
from evenground.analysis.memory import NO_BASELINE
from evenground.analysis.runs import Run, read_runs
from evenground.analysis.seen import see
from evenground.records.index import read_index
from evenground.sidecar.unixstats import UNIXSTATS_VRAM_BYTES

MIB = 2**20
DIGITS = (("digits", "Digits", "mlp"),)
# 2 s of loading, 3 s of training, 0.3 s of evaluation, 2 s of linger, ten rows a second.
LAUNCH_ROWS, TRAIN_END_ROW = 20, 50


def run_of(to: Path, change: Callable[[pd.DataFrame], Any] | None = None, **made: Any) -> Run:
    """One run of Keras with a GPU: 300 MiB of its own, 700 of others."""
    given = {
        "vram_bytes": 300 * MIB,
        "vram_before_bytes": 700 * MIB,
        "linger_s": 2.0,
        "gpu": True,
        **made,
    }
    results = MadeResults(
        datasets=DIGITS,
        engines=("keras",),
        repetitions=1,
        gpu=True,
        environment={"cores": 2, "memory_bytes": 2**33},
        make=lambda *_: Made(**given),
    )
    index = write_results(to, results)
    if change:
        change_run(index, 0, change)
    return read_runs(read_index(index).first)[0]


def test_vram_as_published_is_the_processes_own_over_the_card_of_the_thesis(tmp_path: Path) -> None:
    trace = as_published(see(run_of(tmp_path), 0.1))
    assert CARD_BYTES == 7981 * MIB
    assert peak(trace, "vram") == pytest.approx(100 * 300 / 7981)
    assert peak(trace, "vram") != pytest.approx(100 * 1000 / 7981, rel=0.5), (
        "not what the card holds"
    )


def test_vram_is_what_the_card_holds_more_than_before_the_launch(tmp_path: Path) -> None:
    """Its first samples are lost, and the engine has its context by then: the 300 MiB are its own."""
    run = run_of(tmp_path, lambda frame: frame.drop(frame.index[:19], inplace=True))
    trace = corrected(see(run, 0.1))
    assert peak(trace, "vram") == 300 * MIB and kept(trace, "vram") == 1.0 and trace.remarks == {}


def test_of_a_run_without_a_look_before_the_launch_the_first_value_is_taken(tmp_path: Path) -> None:
    run = run_of(tmp_path, lambda frame: frame.drop(frame.index[:10], inplace=True), baseline=False)
    trace = corrected(see(run, 0.1))
    assert peak(trace, "vram") == pytest.approx(150 * MIB, rel=0.1)
    assert trace.remarks == {"vram": f"{AFTER_LAUNCH} ({NO_BASELINE})"}


def test_a_verdict_says_so_of_older_runs(tmp_path: Path) -> None:
    world = {name: replace(made, baseline=False) for name, made in THESIS.items()}
    found = verdicts(
        experiment(tmp_path, world, datasets=(("mnist", "MNIST", "mlp"),), repetitions=3)
    )
    assert found["V3-mnist", "corrected"].reason.endswith(
        f"axon on mnist: {AFTER_LAUNCH} ({NO_BASELINE}) (3 of 3 runs); "
        f"keras on mnist: {AFTER_LAUNCH} ({NO_BASELINE}) (3 of 3 runs)"
    )
    assert AFTER_LAUNCH not in found["V3-mnist", "as-published"].reason


def test_the_last_value_stands_between_two_that_the_driver_gave(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    asked = run.samples().columns["vram_tree_bytes"]
    held = own_vram_bytes(run.samples(), run.process)
    known = np.flatnonzero(~np.isnan(asked))
    assert np.isnan(asked).mean() > 0.8 and not np.isnan(held).any()
    assert held[known[1] : known[2]].tolist() == [asked[known[1]]] * 10
    # Five periods old at most, as everywhere.
    only = run_of(
        tmp_path / "b", lambda frame: frame.loc.__setitem__((slice(1, 80), "vram_tree_bytes"), "")
    )
    assert np.isnan(own_vram_bytes(only.samples(), only.process)).sum() > 10


def test_nothing_is_listed_before_the_first_context_and_after_the_exit(tmp_path: Path) -> None:
    def late(frame: pd.DataFrame) -> None:
        # The driver is first asked half a second after the launch, and knows nothing of the process yet.
        frame.loc[:25, "vram_tree_bytes"] = ""
        frame.loc[5, "vram_tree_bytes"] = "0"
        frame.loc[len(frame) - 1, "vram_tree_bytes"] = ""

    held = own_vram_bytes((run := run_of(tmp_path, late)).samples(), run.process)
    assert held[:15].tolist() == [0.0] * 15 and held[-1] == 0.0 and held[40] == 300 * MIB


def test_what_it_held_before_it_was_first_asked_is_not_known(tmp_path: Path) -> None:
    def late(frame: pd.DataFrame) -> None:
        frame.loc[0, "vram_tree_bytes"] = ""

    held = own_vram_bytes((run := run_of(tmp_path, late)).samples(), run.process)
    assert np.isnan(held[:10]).all() and held[10] > 0


def test_without_any_value_it_is_missing_and_never_zero(tmp_path: Path) -> None:
    def untold(frame: pd.DataFrame) -> None:
        frame["vram_tree_bytes"] = frame["gpu_util_pct"] = ""

    trace = as_published(see(run_of(tmp_path, untold, spacing_s=0.2, load_s=10.0), 0.1))
    assert np.isnan(trace.columns["vram"]).all() and np.isnan(trace.columns["gpu"]).all()


def test_a_framework_that_frees_its_own_memory_has_freed_all_of_it(tmp_path: Path) -> None:
    """V2: of the whole card others would still hold most."""
    run = run_of(tmp_path, kept=0.1)
    assert kept(as_published(see(run, 0.1)), "vram") == pytest.approx(0.1)
    assert end_to_peak(as_published(see(run, 0.1)), "vram") == 1.0


@pytest.mark.parametrize(
    ("late", "zeroed"), [(MAX_SLOW - 1, 0), (MAX_SLOW, 10), (MAX_SLOW + 1, 10)]
)
def test_after_thirty_slow_samples_both_values_are_zero_for_the_rest(
    late: int, zeroed: int
) -> None:
    """As in `measure(_, error_count) when error_count >= 30`, which counts the samples before."""
    steps = np.array([0.1] * 5 + [0.2] * late + [0.1] * 10)
    t_ns = np.concatenate(([0], np.round(np.cumsum(steps) * 1e9).astype(np.int64)))
    silent = is_silent(t_ns, 10.0)
    assert silent.sum() == zeroed + max(0, late - MAX_SLOW + 1) * (zeroed > 0)
    assert silent.tolist() == sorted(silent.tolist()), "and never again"


def test_a_sample_is_slow_by_half_a_period_or_more() -> None:
    for period_s, slow in ((0.104, False), (0.149, False), (0.151, True)):
        t_ns = np.round(np.arange(100) * period_s * 1e9).astype(np.int64)
        assert is_silent(t_ns, 10.0).any() == slow
    assert not is_silent(np.zeros(0, np.int64), 10.0).any()


def test_its_zeros_are_the_instruments_own(tmp_path: Path) -> None:
    """Samples 0.2 s apart, 5 s of loading: from the start of training on the old instrument shows nothing."""
    run = run_of(tmp_path, spacing_s=0.2, load_s=10.0)
    old, ours = as_published(see(run, 0.1)), corrected(see(run, 0.1))
    rows = old.t_s > 0
    assert (old.columns["gpu"][rows] == 0).all() and (old.columns["vram"][rows] == 0).all()
    assert np.nanmax(ours.columns["gpu"]) == 60 and np.nanmax(ours.columns["vram"]) > 0
    assert old.remarks == {"gpu": SILENT, "vram": SILENT} and ours.remarks == {}
    assert not np.any(old.columns["cpu"] == 0) and not np.any(old.columns["ram"] == 0)


def test_a_verdict_names_the_zeros_as_a_possible_cause(tmp_path: Path) -> None:
    """G3: Elixir's use never falls to zero, and the old instrument says that it does."""
    world = changed(THESIS, gpu_zero_s=0.0, spacing_s=0.2)
    found = verdicts(
        experiment(tmp_path, world, datasets=(("cifar10", "CIFAR-10", "cnn"),), repetitions=3)
    )
    ours, theirs = (found["G3-cifar10", name] for name in ("corrected", "as-published"))
    assert ours.verdict == "contradicted" and SILENT not in ours.reason
    assert theirs.verdict == "direction reproduced, other size"
    assert theirs.reason.endswith(f"axon on cifar10: {SILENT} (3 of 3 runs)")
    assert SILENT not in found["C1-cifar10-elixir", "as-published"].reason


def test_the_sampler_itself_takes_the_same_memory_for_all_of_the_card() -> None:
    """It stands alone, so that the number of the thesis's sampler stands there, too."""
    assert CARD_BYTES == UNIXSTATS_VRAM_BYTES
