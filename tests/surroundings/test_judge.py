"""What of a training's surroundings is a finding, and in what those of several differ."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from evenground.judged import MAX_CHARACTERS, NOT_RECORDED, Judged, reasons
from evenground.records.surroundings import SurroundingsRecord
from evenground.surroundings.judge import (
    FAULTS,
    cold_start,
    compared,
    differences,
    foreign_code,
    image_mounts,
)

RECORD = TypeAdapter(SurroundingsRecord)
FULL = {
    "image": "mounted",
    "variables": {
        "PATH": "/usr/bin:/bin",
        "LD_LIBRARY_PATH": "/.singularity.d/libs",
        "CUDA_VISIBLE_DEVICES": "0",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    },
    "process": {"nice": "0", "policy": "other"},
    "mounts": ["/usr"],
    "mapped": {"image": 131, "working copy": 1, "driver": 4},
    "foreign": ["/site/lib/libsite.so"],
    "cold_start": True,
    "missing": {},
}


def read(**changes: Any) -> SurroundingsRecord:
    return RECORD.validate_json(json.dumps({**FULL, **changes}))


def test_a_record_is_read_as_it_was_written() -> None:
    assert asdict(read()) == FULL
    assert read(**asdict(SurroundingsRecord())) == SurroundingsRecord()


def test_of_an_empty_record_nothing_is_known() -> None:
    assert {judge(SurroundingsRecord()).size for judge in FAULTS.values()} == {None}
    assert compared(SurroundingsRecord(), in_image=True) == {}
    assert reasons(None) == NOT_RECORDED


def test_faults_have_their_size_and_their_words() -> None:
    assert foreign_code(read()) == Judged(1, "/site/lib/libsite.so")
    assert image_mounts(read()) == Judged(1, "/usr")
    assert cold_start(read()) == Judged(1, "its image was just mounted")
    assert cold_start(read(image="unpacked")).text == "its image was just unpacked"
    assert cold_start(read(image=None)).text == "it was the first of its engine"
    assert cold_start(read(image=None, missing={"image": "no mountinfo"})) == Judged(1, "")


def test_none_of_them_is_none() -> None:
    calm = read(mounts=[], foreign=[], cold_start=False)
    assert [judge(calm).size for judge in FAULTS.values()] == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "judge"),
    [("foreign", foreign_code), ("mapped", foreign_code), ("mounts", image_mounts)],
)
def test_what_was_seen_in_part_is_a_finding_and_never_none(name: str, judge: Any) -> None:
    partly = {"missing": {name: "the engine ended before"}}
    assert judge(read(**partly)).size == 1
    assert judge(read(**partly, foreign=[], mounts=[])).size is None


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (3, "/a/0, /a/1, /a/2"),
        (4, "/a/0, /a/1, /a/2 and 1 more"),
        (9, "/a/0, /a/1, /a/2 and 6 more"),
    ],
)
def test_the_first_three_are_named(n: int, words: str) -> None:
    paths = [f"/a/{i}" for i in range(n)]
    assert foreign_code(read(foreign=paths)) == Judged(n, words)
    assert image_mounts(read(mounts=paths)) == Judged(n, words)


def test_a_path_is_shown_in_one_line_and_its_end_where_it_is_long() -> None:
    assert foreign_code(read(foreign=["/a\n# b\x1b[2J\u202e.so"])).text == "/a # b [2J .so"
    shown = foreign_code(read(foreign=["/" + "x" * 5000 + "/liba.so"])).text
    assert (
        shown.startswith("…x") and shown.endswith("x/liba.so") and len(shown) == MAX_CHARACTERS + 1
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": "copied"},
        {"variables": {"HOME": "/home/a"}},
        {"variables": {"PATH": None}},
        {"variables": {"PATH": "x" * 2**20}},
        {"variables": "PATH"},
        {"mounts": "/usr"},
        {"mounts": [1]},
        {"mounts": ["x" * 2**20]},
        {"foreign": {"a": 1}},
        {"foreign": ["x" * 2**20]},
        {"foreign": ["x"] * (2**16 + 1)},
        {"mapped": {"image": -1}},
        {"mapped": {"image": 1e300}},
        {"mapped": {"x" * 65: 1}},
        {"mapped": {str(i): 1 for i in range(65)}},
        {"cold_start": "yes"},
        {"cold_start": 1},
        {"missing": {"mounts": "x" * 1001}},
        {"missing": None},
        {"missing": {"mounts": ["x"]}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**wrong)


def path(text: str, **changes: Any) -> SurroundingsRecord:
    return read(variables={"PATH": text}, **changes)


def unlike(*records: SurroundingsRecord, in_image: bool = True) -> list[str]:
    return differences([compared(record, in_image) for record in records])


def test_alike_runs_do_not_differ() -> None:
    assert unlike(read(), read(), read()) == []
    assert unlike() == unlike(read()) == []


def test_differences_name_what_only_some_have() -> None:
    mounted, unpacked = read(), read(image="unpacked")
    assert unlike(*[mounted] * 4, unpacked) == ["image: mounted (4 runs), unpacked (1 run)"]
    assert unlike(path("/a:/b:/c"), path("/a:/c"), path("/c:/d")) == [
        "PATH: /a (2 runs), /b (1 run), /d (1 run)"
    ]
    assert unlike(read(mounts=[]), read(), read()) == ["mounts: /usr (2 runs)"]
    loaded = read(variables={"PATH": "/a", "LD_LIBRARY_PATH": "/a:/b:/c:/d:/e"})
    assert unlike(path("/a"), loaded) == [
        "LD_LIBRARY_PATH: /a (1 run), /b (1 run), /c (1 run) and 2 more",
    ]
    nice = read(process={"nice": "10", "policy": "other"})
    assert unlike(read(), read(), nice) == ["process: nice 0 (2 runs), nice 10 (1 run)"]
    assert unlike(read(process=None), read(), read()) == [], "what is not known is no difference"
    both = read(image="unpacked", mounts=[])
    assert [one.split(":")[0] for one in unlike(read(), both)] == ["image", "mounts"]


def test_the_order_counts_where_it_decides() -> None:
    assert unlike(path("/a:/b"), path("/b:/a")) == ["PATH: the same folders in another order"]
    assert unlike(path("/a:/b:/a"), path("/a:/b")) == [], "the second /a is never looked at"
    assert unlike(read(mounts=["/a", "/b"]), read(mounts=["/b", "/a"])) == []


def test_a_variable_that_is_not_set_is_like_an_empty_one() -> None:
    assert unlike(read(variables={}), path(""), read(variables={"LD_LIBRARY_PATH": ""})) == []
    assert unlike(path(":/a"), path("/a")) == ["PATH: . (1 run)"], (
        "an empty entry is the working folder"
    )


def test_which_gpus_are_seen_is_no_difference() -> None:
    cards = [
        read(variables={"CUDA_VISIBLE_DEVICES": card, "CUDA_DEVICE_ORDER": card}) for card in "01"
    ]
    assert unlike(*cards) == []


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"image": None}, {"image"}),
        ({"missing": {"image": "x"}}, {"image"}),
        ({"mounts": None}, {"mounts"}),
        ({"missing": {"mounts": "x"}}, {"mounts"}),
        ({"variables": None}, {"PATH", "LD_LIBRARY_PATH"}),
        ({"missing": {"variables": "x"}}, {"PATH", "LD_LIBRARY_PATH"}),
        ({"missing": {"PATH": "x"}}, {"PATH"}),
    ],
)
def test_what_is_not_known_is_no_difference(changes: dict[str, Any], lacking: set[str]) -> None:
    odd = {"image": "unpacked", "variables": {"PATH": "/odd"}, "mounts": ["/odd"]}
    known = compared(read(**{**odd, **changes}), in_image=True)
    assert {"image", "PATH", "LD_LIBRARY_PATH", "mounts"} - known.keys() == lacking
    told = differences([compared(read(), in_image=True), known])
    assert not lacking & {one.split(":")[0] for one in told}


def test_natively_there_is_no_image_and_that_is_known() -> None:
    assert compared(read(image=None), in_image=False)["image"] == ["none"]
    assert unlike(read(image=None), read(image=None), in_image=False) == []
