"""The stored specification of a run: its key is the digest of exactly what is stored."""

from __future__ import annotations

import json
from pathlib import Path

from evenground.files import sha256_json
from evenground.records.spec import Specification, spec_file
from evenground.runs.study import make_study, write_study
from working_copy import fresh_copy


def test_the_key_is_the_digest_of_what_is_stored(tmp_path: Path) -> None:
    copy = fresh_copy(tmp_path / "copy")
    study = make_study(copy.settings, copy.root)
    write_study(study)
    plan = study.first
    assert {run.key for run in plan.runs} == plan.specs.keys()
    for key, spec in plan.specs.items():
        stored = json.loads((copy.root / spec_file(key)).read_text())
        assert sha256_json(stored)[:16] == key == spec.key
        assert Specification.read(copy.root / spec_file(key)) == spec
    assert str(tmp_path) not in json.dumps(stored), "a key is the same on every machine"
    for run in plan.runs:
        assert plan.specs[run.key].run_path(plan.machine, run.repetition) == run.path
