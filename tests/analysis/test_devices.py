"""What engines computed on, by their own word: in the tables, and a finding where it is not the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.remade import change_index, change_run, tables_by_files, tables_of
from analysis.synthetic import CARD, Made, MadeResults, made_run, write_results
from evenground.analysis.devices import unlike, unlike_in
from evenground.analysis.experiment import Experiment
from evenground.analysis.normalise import normalise_all, write_normalised
from evenground.analysis.tables import make_tables
from evenground.analysis.write import write_tables
from evenground.records.events import kind_of
from evenground.records.index import Index, read_index
from evenground.report.material import read_report_data

DIGITS = (("digits", "Digits", "mlp"),)
ON_CARD = f"cuda:{CARD}"


def results(to: Path, **devices: str) -> Path:
    """Two runs of each of these engines on a machine with a GPU, each engine on its device."""

    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        return replace(made_run(dataset, engine, repetition, gpu), device=devices[engine])

    made = MadeResults(datasets=DIGITS, engines=(*devices,), repetitions=2, gpu=True, make=make)
    return write_results(to, made)


def arm(index: Path, told: str, **parameters: Any) -> Path:
    """Let the second engine be an arm of the first one, told this accelerator."""
    (content,) = json.loads(index.read_text())["conditions"]
    content["engines"][1]["arm_of"] = content["engines"][0]["name"]
    change_index(
        index, engines=content["engines"], parameters={**content["parameters"], **parameters}
    )
    for number, run in enumerate(content["runs"]):
        if run["engine"] == content["engines"][1]["name"]:
            change_run(index, number, environment={"gpu": {"accelerator": told}})
    return index


def draw_tables(index: Index, to: Path) -> None:
    """Write `normalised/` and `tables/` into a folder."""
    write_normalised(index, to / "normalised")
    write_tables(index, to / "normalised", to / "tables", to / "metrics.json")


def findings(index: Path, name: str) -> list[dict[str, Any]]:
    table = tables_by_files(index)["quality"]
    rows: list[dict[str, Any]] = table[table["finding"] == name].to_dict("records")
    return rows


def test_the_table_of_runs_has_each_device(tmp_path: Path) -> None:
    runs = tables_by_files(results(tmp_path, keras=ON_CARD, jax="cpu"))["runs"]
    assert runs[["engine", "device"]].drop_duplicates().values.tolist() == [
        ["keras", ON_CARD],
        ["jax", "cpu"],
    ]


def test_a_run_that_did_not_finish_has_none(tmp_path: Path) -> None:
    made = MadeResults(
        datasets=DIGITS, repetitions=1, lost={("digits", "jax", 1): ("failed", "crashed")}
    )
    assert tables_of(read_index(write_results(tmp_path, made)))["runs"]["device"].tolist() == [
        "cpu",
        "",
    ]


def test_engines_on_unlike_devices_are_a_finding_and_every_figure_says_so(
    tmp_path: Path,
) -> None:
    index = results(tmp_path, keras=ON_CARD, jax="cpu")
    rows = findings(index, "device")
    assert [(row["engine"], row["state"], row["value"], row["limit"]) for row in rows] == [
        ("keras", "invalid", 2, 1),
        ("jax", "invalid", 2, 1),
    ]
    words = f"keras on {ON_CARD}; jax on cpu"
    assert {row["reason"] for row in rows} == {
        f"devices that were computed on in one comparison: {words}"
    }
    ratios = tables_by_files(index)["ratios"]
    assert ratios["reason"].str.endswith(f"; {words}").all() and ratios["ratio"].notna().all()
    folder = index.parent
    draw_tables(read_index(index), folder)
    data = read_report_data(index, folder / "normalised", folder / "tables")
    assert data.materials[0].machine.endswith(f" Computed on unlike devices: {words}.")


def test_engines_on_one_device_are_no_finding(gpu_index_path: Path) -> None:
    table = tables_of(read_index(gpu_index_path))
    assert "device" not in set(table["quality"]["finding"])
    assert not table["ratios"]["reason"].str.contains(" on ").any()
    assert unlike_in(read_index(gpu_index_path).first, table["runs"]) == ""


def test_one_run_that_fell_back_is_enough(tmp_path: Path) -> None:
    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        fell = engine == "jax" and repetition == 2
        return replace(made_run(dataset, engine, repetition, gpu), device="cpu" if fell else None)

    index = write_results(
        tmp_path, MadeResults(datasets=DIGITS, repetitions=3, gpu=True, make=make)
    )
    assert findings(index, "device")[0]["reason"].endswith(
        f": keras on {ON_CARD}; jax on {ON_CARD} and cpu"
    )


@pytest.mark.parametrize(
    ("told", "asked", "found"),
    [("cpu", "auto", []), ("cpu", "cuda", []), ("cpu", "cpu", ["jax"]), ("cuda", "auto", ["jax"])],
)
def test_an_arm_without_a_gpu_by_design_is_compared_by_its_own_device(
    tmp_path: Path, told: str, asked: str, found: list[str]
) -> None:
    """The engine itself is not to blame for its arm, nor is an arm that was never to use the GPU."""
    index = arm(results(tmp_path, keras=ON_CARD, jax="cpu"), told, accelerator=asked)
    assert [row["engine"] for row in findings(index, "device")] == found
    reasons = tables_by_files(index)["ratios"]["reason"]
    assert reasons.str.endswith(f"; keras on {ON_CARD}; jax on cpu").all()


def test_a_training_off_the_card_is_invalid(gpu_index_path: Path, tmp_path: Path) -> None:
    """The engine says cuda, and the driver listed no memory of its processes while it trained."""
    assert findings_of(gpu_index_path, "off the card") == 0
    index = results(tmp_path, keras=ON_CARD, jax=ON_CARD)

    def off(frame: Any) -> None:
        # 2 s of loading, 3 s of training, ten rows a second: before and after it held some.
        frame.loc[range(20, 51, 10), "vram_tree_bytes"] = "0"

    change_run(index, 0, off)
    (row,) = findings(index, "off the card")
    assert (row["engine"], row["repetition"], row["state"], row["value"]) == (
        "keras",
        1,
        "invalid",
        1,
    )


def findings_of(index: Path, name: str) -> int:
    return int((tables_of(read_index(index))["quality"]["finding"] == name).sum())


def test_what_the_driver_does_not_tell_is_not_off_the_card(tmp_path: Path) -> None:
    index = results(tmp_path, keras=ON_CARD, jax="cpu")

    def untold(frame: Any) -> None:
        frame["vram_tree_bytes"] = ""

    change_run(index, 0, untold)
    change_run(index, 1, untold)
    assert findings(index, "off the card") == []


def test_a_training_on_the_processor_is_not_judged_by_the_card(tmp_path: Path) -> None:
    index = results(tmp_path, keras="cpu", jax="cpu")

    def busy(frame: Any) -> None:
        frame["gpu_foreign_processes"] = "3"
        frame["gpu_throttle_reasons"] = str(0x40)

    for number in range(4):
        change_run(index, number, busy)
    table = tables_by_files(index)["quality"]
    assert table.empty


def test_a_name_of_any_card_is_a_card() -> None:
    assert [kind_of(device) for device in ("cpu", "cuda:x", "cuda:cpu")] == ["cpu", "cuda", "cuda"]
    assert unlike({}) == unlike({"a": ("cpu",), "b": ("cpu",)}) == ""


def test_of_many_engines_the_first_are_named() -> None:
    many = {f"engine{k}": (ON_CARD,) for k in range(12)}
    assert unlike({**many, "engine3": ("cpu",)}) == (
        f"engine0, engine1, engine2 and 8 more on {ON_CARD}; engine3 on cpu"
    )


def test_a_name_breaks_out_of_no_table_and_no_figure(tmp_path: Path) -> None:
    odd = "cuda:a|b\x1b[2J <script> " + "x" * 900
    index = results(tmp_path, keras=odd, jax="cpu")
    draw_tables(read_index(index), tmp_path)
    text = (tmp_path / "tables/runs.md").read_text()
    assert all(line.isprintable() for line in text.splitlines()) and "<script>" not in text
    data = read_report_data(index, tmp_path / "normalised", tmp_path / "tables")
    assert data.materials[0].machine.isprintable()


def test_sources_beside_each_other_name_unlike_devices_of_a_ratio(tmp_path: Path) -> None:
    apart = read_index(results(tmp_path / "a", keras=ON_CARD, jax="cpu"))
    alike = read_index(results(tmp_path / "b", keras=ON_CARD, jax=ON_CARD))
    words = f"keras on {ON_CARD}; jax on cpu"
    experiment = Experiment(sources={"b": alike, "a": apart})
    tables = make_tables(experiment, normalise_all(experiment))
    found = tables["ratios"][tables["ratios"]["measure"] == "training_s"].set_index("source")
    assert found.loc["a", "reason"].endswith(f"; {words}")
    assert " on " not in found.loc["b", "reason"]
    across = tables["across"][tables["across"]["measure"] == "training_s"].set_index("baseline")
    assert across.loc["keras", "reason"].endswith(f"; a: {words}")
    assert across.loc["keras", "source"] == "a" and across.loc["keras", "over"] == "b"
