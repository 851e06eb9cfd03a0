"""Which card it was is given to nobody: no UUID is in a bundle, and all that is in it is whole."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import bundle as script
import replay
from analysis.synthetic import CARD, GPU_RECORD, write_manifest
from evenground.analysis.differences import shared_runs
from evenground.analysis.environment import read_environment
from evenground.analysis.runs import all_runs
from evenground.bundle.adopt import adopt
from evenground.bundle.replay import redraw
from evenground.bundle.unpack import unpack
from evenground.bundle.uuids import IN_TEXT, UUID, lay_out, name_a_card
from evenground.claims.model import read_claims
from evenground.files import read_json, sha256_file, write_json
from evenground.records.index import read_index
from made_bundle import call, files_of, save_data
from made_records import made_index, made_run, made_wanted

ROOT = Path(__file__).parents[2]
CARDS = ["GPU-11111111-2222-3333-4444-555555555555", "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"]
INSTANCE = "MIG-99999999-8888-7777-6666-555555555555"
OLD_INSTANCE = "MIG-GPU-11111111-2222-3333-4444-555555555555/7/0"
ANY = re.compile(rb"(?:GPU|MIG)-[0-9a-fA-F]")


@pytest.fixture
def on_cards(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working copy whose three finished runs were made on two cards; its results folder."""
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    shutil.copytree(copy.parent.parent, tmp_path / "copy")
    results = tmp_path / "copy" / "results" / "native"
    index = read_json(results / "index.json")
    (condition,) = index["conditions"]
    finished = [run for run in condition["runs"] if run["path"]]
    for number, run in enumerate(finished):
        run["manifest_sha256"] = put_on_card(tmp_path / "copy" / run["path"], CARDS[number % 2])
    calibration = tmp_path / "copy" / condition["calibration"]["path"]
    write_json(calibration, {**read_json(calibration), "gpu": {"uuid": CARDS[0], "missing": {}}})
    condition["calibration"]["sha256"] = sha256_file(calibration)
    write_json(results / "index.json", index)
    redraw(read_index(results / "index.json"), results / "index.json", results, read_claims(ROOT))
    return results


def put_on_card(run: Path, uuid: str) -> str:
    """Let a recorded run be one on this card, which its files name in every way there is."""
    change(
        run / "environment.json",
        gpu={**GPU_RECORD, "uuid": uuid},
        gpus_visible=f"{uuid},{INSTANCE}",
    )
    change(
        run / "environment.json",
        surroundings={"variables": {"CUDA_VISIBLE_DEVICES": uuid[:12]}, "missing": {}},
    )
    instance = {"card": "0/mig1", "name": CARD, "uuid": INSTANCE}
    card = {
        "index": 0,
        "name": CARD,
        "uuid": uuid,
        "mig": [instance],
        "missing": {},
        "util_window_s": 0.2,
    }
    change(run / "samples.json", gpus=[card])
    (run / "train.log").write_text(
        f"using {uuid} and {OLD_INSTANCE}.\nGPU-accelerated, MIG 1g.10gb, GPU-0\n"
    )
    return write_manifest(run, read_json(run / "manifest.json")["run"])


def change(path: Path, **fields: Any) -> None:
    write_json(path, {**read_json(path), **fields})


@pytest.fixture
def packed(on_cards: Path, tmp_path: Path) -> Path:
    assert call(script.main, tmp_path / "runs.zip", "--results", on_cards) == 0
    return tmp_path / "runs.zip"


def test_no_file_of_a_bundle_has_a_uuid(on_cards: Path, packed: Path) -> None:
    recorded = {path: path.read_bytes() for path in on_cards.parent.rglob("*") if path.is_file()}
    assert sum(bool(ANY.search(content)) for content in recorded.values()) == 3 * 3 + 1
    named = {name for name, content in files_of(packed).items() if ANY.search(content)}
    assert {Path(name).name for name in named} == {"train.log"}, "what is no UUID stays"
    for name in named:
        log = files_of(packed)[name].decode()
        assert log == f"using {IN_TEXT} and {IN_TEXT}.\nGPU-accelerated, MIG 1g.10gb, GPU-0\n"


def test_words_stand_for_what_was_left_out(packed: Path, tmp_path: Path) -> None:
    index = read_index(unpack(packed, tmp_path / "unpacked"))
    for run in all_runs(index):
        record = read_environment(run).gpu
        assert record and record.uuid == IN_TEXT
        assert record.pci == GPU_RECORD["pci"], "nothing else is lost"
        (card,) = json.loads(run.content("samples.json"))["gpus"]
        assert card["uuid"] == card["mig"][0]["uuid"] == IN_TEXT
        environment = json.loads(run.content("environment.json"))
        assert environment["gpus_visible"] == f"{IN_TEXT},{IN_TEXT}"
        assert environment["surroundings"]["variables"] == {"CUDA_VISIBLE_DEVICES": IN_TEXT}


def test_a_bundle_of_cards_is_replayed_as_it_was_published(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(replay.main, packed, "--output-dir", tmp_path / "out") == 0, capsys.readouterr().err
    assert "as published, byte by byte: 62 tables and files" in capsys.readouterr().out


def test_the_working_copy_stays_as_it_was(on_cards: Path, tmp_path: Path) -> None:
    root = on_cards.parent.parent
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert call(script.main, tmp_path / "runs.zip", "--results", on_cards) == 0
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_the_same_results_are_the_same_bytes(on_cards: Path, packed: Path, tmp_path: Path) -> None:
    assert call(script.main, tmp_path / "again.zip", "--results", on_cards) == 0
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_they_are_still_known_as_the_same_runs(
    on_cards: Path, packed: Path, tmp_path: Path
) -> None:
    """Neither a second measurement, nor another run in the way of one that is taken over."""
    where = unpack(packed, tmp_path / "unpacked")
    index = read_index(where)
    assert shared_runs(read_index(on_cards / "index.json"), index) == 3
    done = adopt(index, where, on_cards.parent.parent, "runs")
    assert (done.new, done.known) == (0, 3)
    assert adopt(index, where, tmp_path / "elsewhere", "runs").new == 3


def test_without_a_card_nothing_is_touched(copy: Path) -> None:
    assert not name_a_card({path.name: path for path in copy.glob("*.json")})


def test_whoever_takes_an_experiment_over_gets_a_card_of_his_own(tmp_path: Path) -> None:
    files = {"results/native/index.json": tmp_path / "index.json"}
    files |= {"results/native/experiment.json": tmp_path / "experiment.json"}
    missing = made_wanted(made_run(), "missing", reason=f"no {CARDS[0][:12]}")
    made_index(missing, calibration=None).write(files["results/native/index.json"])
    write_json(files["results/native/experiment.json"], {"gpu": CARDS[0], "engines": ["a"]})
    assert name_a_card(files)
    where = lay_out(files, tmp_path / "bare")
    assert read_json(where.with_name("experiment.json")) == {"gpu": "auto", "engines": ["a"]}
    assert read_index(where).runs[0].reason == f"no {IN_TEXT}"


@pytest.mark.parametrize(
    "uuid", [*CARDS, INSTANCE, OLD_INSTANCE, CARDS[0].upper(), "GPU-11111111", "MIG-9a"]
)
def test_every_form_of_a_uuid_is_found(uuid: str) -> None:
    for text in (uuid, f"0,{uuid}", f'"{uuid}"', f"CUDA_VISIBLE_DEVICES={uuid};", f"({uuid})"):
        assert UUID.sub("", text) == text.replace(uuid, "")
    for text in (f"card\n{uuid}", f"\t{uuid}\n", f"é{uuid}", f"\\{uuid}"):
        for ascii_only in (True, False):
            bare = UUID.sub(IN_TEXT, json.dumps(text, ensure_ascii=ascii_only))
            assert json.loads(bare) == text.replace(uuid, IN_TEXT)


@pytest.mark.parametrize(
    "text", ["GPU-accelerated", "GPU-0", "MIG-1g.10gb", "XGPU-12ab", "GPU-face", "GPU 12"]
)
def test_other_words_are_left_alone(text: str) -> None:
    assert UUID.search(text) is None
