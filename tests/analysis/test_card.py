"""The card in the tables: who else was on it, how it was set, and in what runs of one group differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.remade import change_run, tables_by_files
from analysis.synthetic import GPU_RECORD, MadeResults, write_results
from evenground.analysis.differences import differences
from evenground.analysis.environment import read_environment
from evenground.analysis.normalise import normalise
from evenground.analysis.quality import unknown, why_unknown
from evenground.analysis.runs import read_runs
from evenground.bundle.replay import redraw
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError
from evenground.judged import NOT_RECORDED
from evenground.records.gpus import GpuRecord
from evenground.records.index import read_index

ROOT = Path(__file__).parents[2]
MADE = MadeResults(
    datasets=(("digits", "Digits", "mlp"),), engines=("keras",), repetitions=3, gpu=True
)
OTHER = "GPU-99999999-2222-3333-4444-555555555555"
OF_CARD = ("throttling", "foreign process", "desktop", "off the card")
OF_RECORD = ("gpu power limit", "gpu clock", "gpu persistence", "card")
MPS = "the processes of this card compute through NVIDIA's MPS"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Three runs of one engine on a card that nothing speaks against."""
    return write_results(tmp_path, MADE)


def set_card(index: Path, number: int, **changes: Any) -> None:
    change_run(index, number, environment={"gpu": {**GPU_RECORD, **changes}})


def findings(index: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tables_by_files(index)["quality"].to_dict("records")
    return rows


def not_known(index: Path) -> dict[str, int]:
    counts = unknown(normalise(read_index(index).first).circumstances)
    return {name: counts[name] for name in (*OF_CARD, *OF_RECORD) if name in counts}


def test_a_calm_card_is_no_finding_and_all_is_known(index: Path) -> None:
    assert findings(index) == [] and not_known(index) == {}
    assert "GPU" not in why_unknown(normalise(read_index(index).first).circumstances)
    assert read_environment(read_runs(read_index(index).first)[0]).gpu == GpuRecord(**GPU_RECORD)


def test_a_desktop_is_a_warning_with_its_memory_and_a_process_that_computes_makes_a_run_invalid(
    index: Path,
) -> None:
    def desktop(frame: pd.DataFrame) -> None:
        frame.loc[[20, 30], "gpu_desktop_processes"] = ["4", "3"]
        frame.loc[[20, 30], "gpu_desktop_bytes"] = [str(700 * 2**20), str(812 * 2**20)]

    def foreign(frame: pd.DataFrame) -> None:
        frame.loc[30, "gpu_foreign_processes"] = "1"

    change_run(index, 0, desktop)
    change_run(index, 1, foreign)
    computing, drawing = findings(index)
    assert (drawing["repetition"], drawing["state"], drawing["finding"]) == (1, "warned", "desktop")
    assert drawing["value"] == 4 and drawing["reason"].endswith(": they held up to 812 MiB")
    assert (computing["repetition"], computing["state"]) == (2, "invalid")
    assert computing["finding"] == "foreign process"


def test_a_desktop_whose_memory_is_not_told_says_so(index: Path) -> None:
    def desktop(frame: pd.DataFrame) -> None:
        frame.loc[20, "gpu_desktop_processes"] = "4"
        frame["gpu_desktop_bytes"] = ""

    change_run(index, 0, desktop)
    (row,) = findings(index)
    assert row["reason"].endswith(": their memory is not known")


def test_what_the_driver_hides_is_neither_good_nor_bad_and_has_its_reason(index: Path) -> None:
    """As under MPS, whose server is all that the driver lists, and in some containers."""
    columns = ("gpu_foreign_processes", "vram_tree_bytes", "gpu_desktop_processes")

    def hidden(frame: pd.DataFrame) -> None:
        frame[[*columns]] = ""

    file = read_runs(read_index(index).first)[0].folder / "samples.json"
    info = json.loads(file.read_text())
    info["missing"] |= dict.fromkeys(columns, MPS)
    file.write_text(json.dumps(info))
    change_run(index, 0, hidden)
    assert findings(index) == []
    assert not_known(index) == {"foreign process": 1, "desktop": 1, "off the card": 1}
    why = why_unknown(normalise(read_index(index).first).circumstances)["GPU"]
    assert why == f"gpu_foreign_processes, gpu_desktop_processes, vram_tree_bytes: {MPS}"


def test_a_driver_that_answered_late_is_no_reason(index: Path) -> None:
    """A column has empty cells with a reason in any run: only one without any value is not known."""
    file = read_runs(read_index(index).first)[0].folder / "samples.json"
    info = json.loads(file.read_text())
    info["missing"] |= {"gpu_foreign_processes": "the NVIDIA driver has not answered yet"}
    file.write_text(json.dumps(info))
    change_run(index, 0)
    assert "GPU" not in why_unknown(normalise(read_index(index).first).circumstances)


def test_how_a_card_is_set_is_a_warning(index: Path) -> None:
    set_card(index, 0, power_limit_w=150.0)
    (limit, card) = sorted(findings(index), key=lambda row: row["finding"], reverse=True)
    assert (limit["repetition"], limit["state"], limit["finding"]) == (
        1,
        "warned",
        "gpu power limit",
    )
    assert (limit["value"], limit["reason"].rpartition(": ")[2]) == (50, "150 W of 200 W")
    assert card["finding"] == "card"


def test_runs_of_a_group_on_unlike_cards_are_one_warning_of_the_group(index: Path) -> None:
    set_card(index, 1, uuid=OTHER, pci="00000000:66:00.0", ecc=True)
    (row,) = findings(index)
    assert pd.isna(row["repetition"]) and (row["state"], row["value"], row["limit"]) == (
        "warned",
        3,
        0,
    )
    assert row["reason"].endswith(
        ": card: 2 cards; position: 00000000:65:00.0 (2 runs), 00000000:66:00.0 (1 run); "
        "ECC: off (2 runs), on (1 run)"
    )


def test_no_table_and_no_page_has_a_uuid(index: Path) -> None:
    set_card(index, 1, uuid=OTHER)
    redraw(read_index(index), index, index.parent, read_claims(ROOT))
    made = ("tables", "figures", "normalised")
    below = [path for name in made for path in (index.parent / name).rglob("*") if path.is_file()]
    files = [path for path in below if path.suffix not in (".png", ".npy")]
    files += [index.parent / name for name in ("report.html", "verdicts.json", "metrics.json")]
    assert len(files) > 50
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "2222-3333" not in text and "GPU-9" not in text and "GPU-1" not in text, path


def test_of_an_older_run_nothing_is_known_and_on_the_processor_nothing_is_asked(
    index: Path,
) -> None:
    # Runs from before there was a record have a list of the machine's cards.
    change_run(index, 0, environment={"gpu": [{"name": "Made Card", "memory_bytes": 2**33}]})
    assert not_known(index) == dict.fromkeys(OF_RECORD, 1)
    assert (
        why_unknown(normalise(read_index(index).first).circumstances)["GPU"]
        == f"how it was set: {NOT_RECORDED}"
    )
    assert findings(index) == []


def test_a_machine_without_a_gpu_is_not_asked(index_path: Path) -> None:
    known = normalise(read_index(index_path).first).circumstances
    assert not {*OF_CARD, *OF_RECORD} & unknown(known).keys() and "GPU" not in why_unknown(known)


@pytest.mark.parametrize(
    "wrong", [5, "text", {"accelerator": "auto"}, {}, {**GPU_RECORD, "ecc": "yes"}], ids=str
)
def test_a_wrong_record_is_one_line(index: Path, wrong: Any) -> None:
    change_run(index, 0, environment={"gpu": wrong})
    with pytest.raises(EvengroundError, match="broken record of the environment, gpu") as caught:
        tables_by_files(index)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1500


def test_odd_words_of_a_card_break_out_of_no_table(index: Path) -> None:
    odd = "/_$ | <script>alert(1)</script>\x1b[2J\n| a | " + "x" * 100
    set_card(
        index, 1, compute_mode=odd, libraries={odd: odd}, near_cpus=odd * 50, missing={"ecc": odd}
    )
    redraw(read_index(index), index, index.parent, read_claims(ROOT))
    text = (index.parent / "tables/quality.md").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.splitlines()) and "<" not in text
    assert "<script>alert" not in (index.parent / "report.html").read_text(encoding="utf-8")


def test_the_page_and_a_comparison_name_the_card_and_its_settings(
    index: Path, tmp_path: Path
) -> None:
    redraw(read_index(index), index, index.parent, read_claims(ROOT))
    page = (index.parent / "report.html").read_text(encoding="utf-8")
    assert "name Made Card; MIG instance none; memory 8192 MiB; capability 8.6; ECC off" in page
    assert "The engine was told to compute on cuda." in page
    other = write_results(tmp_path / "b", MADE)
    for number in range(3):
        set_card(other, number, ecc=True, uuid=OTHER)
    rows = differences(read_index(index).first, read_index(other).first).set_index("what")
    assert rows.loc["GPU of keras, ECC"].tolist() == ["off", "on"]
    assert not rows.index.str.contains("card|name").any()
