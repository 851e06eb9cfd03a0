"""scripts/gpu_check.py: whatever the driver does, every step has its rows, and the call ends with 0."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.support import interpreter
from gpu_check import Shared, rows_of
from gpu_steps.bench import Bench
from gpu_steps.mps import CONTROL
from gpu_steps.report import Failed, Report, Skip, read_rows, scrubbed, table
from gpu_steps.sampler import _integral, unixstats_mib
from gpu_steps.steps import BY_NAME, STEPS
from stand_in_driver import StandIn, uuid

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "gpu_check.py"
ONE_CARD = "cards 1\nname.0 NVIDIA H200\nutil 97\n"
VERDICTS = {"ok", "NO", "skipped"}
# Figures as those of ONE_CARD, in the order of the query.
SMI = """#!/bin/sh
case "$*" in
*query-gpu*) echo "256, 97, 50.25, 1400, 5000, 60" ;;
*query-compute*) echo "4711, 256" ;;
*) echo "|    0   N/A  N/A   4711      C   .../bin/python3      256MiB |" ;;
esac
"""


def check(folder: Path, *words: str, **variables: str) -> dict[str, Any]:
    """What the script wrote; it must not fail, and no traceback may be in it."""
    output = folder / "found.json"
    env = {**os.environ, **variables}
    command = [sys.executable, str(SCRIPT), "--output", str(output), *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(output.read_text())
    assert {row["verdict"] for row in found["rows"]} <= VERDICTS
    assert "Traceback" not in done.stdout + output.read_text()
    for row in found["rows"]:
        assert f"| {row['step']} |" in done.stdout
    return found


def verdicts(found: dict[str, Any], step: str) -> dict[str, tuple[str, str]]:
    """Of one step: question -> verdict and figure."""
    return {
        row["asked"]: (row["verdict"], row["figure"])
        for row in found["rows"]
        if row["step"] == step
    }


def test_an_unknown_step_is_one_line_that_names_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--steps", "fax"], capture_output=True, text=True
    )
    known = ", ".join(step.name for step in STEPS)
    assert done.stderr == f"error: unknown step 'fax' (--steps): give some of {known}\n"


def test_a_load_that_never_is_ready_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr("gpu_steps.bench.READY_S", 0.3)
    bench = Bench(
        folder=tmp_path,
        report=Report(tmp_path / "rows", "made"),
        card={},
        pythons={"cuda": str(hangs)},
        gpu="",
    )
    began_s = time.monotonic()
    why = "the load does not start: nothing was printed"
    with pytest.raises(Failed, match=why), bench.load("cuda", 60.0):
        pass
    assert time.monotonic() - began_s < 20


def test_a_card_is_described_and_tried(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers(ONE_CARD)
    found = check(tmp_path, "--steps", "uuid,opening,foreign", **stand_in.env())
    facts = verdicts(found, "facts")
    assert facts["cards, those given to this user"] == ("ok", "1, 1")
    assert facts["card 0"] == ("ok", "NVIDIA H200; not told: nothing")
    assert facts["the chosen card"][1].startswith(f"0: NVIDIA H200, {uuid(0)[:12]},")
    assert verdicts(found, "uuid")["cards that CUDA sees, UUID of the first"] == (
        "ok",
        f"1, {uuid(0)[:12]}",
    )
    assert all(verdict == "ok" for verdict, _ in verdicts(found, "opening").values())
    assert verdicts(found, "foreign")["gpu_foreign_processes"] == ("ok", "0, beside a context 1")
    assert not re.search(uuid(0), json.dumps(found))


def test_no_folder_of_the_machine_is_changed(stand_in: StandIn, tmp_path: Path) -> None:
    """Though a user without rights has to read what is asked."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    modes = [(folder, folder.stat().st_mode) for folder in (shared, Path("/tmp"))]
    found = check(tmp_path, "--steps", "core", TMPDIR=str(shared), **stand_in.env())
    said = verdicts(found, "core")["the same as nobody"]
    assert said[0] == "ok" or said[1].endswith(("needs root", "may not execute the interpreter"))
    assert [(folder, folder.stat().st_mode) for folder, _ in modes] == modes


def test_the_card_that_is_asked_for_is_taken(stand_in: StandIn, tmp_path: Path) -> None:
    for wanted in ("1", uuid(1), uuid(1)[:10]):
        found = check(tmp_path, "--steps", "uuid", "--gpu", wanted, **stand_in.env())
        assert verdicts(found, "facts")["the chosen card"][1].startswith(
            f"1: Fake Card, {uuid(1)[:12]}"
        )
        assert verdicts(found, "uuid")["cards that CUDA sees, UUID of the first"][0] == "ok"
    found = check(tmp_path, "--steps", "uuid", "--gpu", "5", **stand_in.env())
    assert "no card '5'" in json.dumps(found["rows"])


def test_of_a_card_that_is_cut_up_an_instance_is_taken(stand_in: StandIn, tmp_path: Path) -> None:
    for wanted, label, instance in (
        ("", "0/mig0", 0),
        ("0/mig2", "0/mig2", 2),
        (uuid(0, 2), "0/mig2", 2),
    ):
        found = check(tmp_path, "--steps", "uuid", "--gpu", wanted, **stand_in.env("mig"))
        figure = verdicts(found, "facts")["the chosen card"][1]
        assert figure.startswith(f"{label}: ") and uuid(0, instance)[:12] in figure
        assert verdicts(found, "uuid")["cards that CUDA sees, UUID of the first"][0] == "ok"


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    """What the steps of an invocation share that has no framework, and a minute of time."""
    until_s = time.monotonic() + 60
    return Shared(folder=tmp_path, pythons={}, missing={}, gpu="", until_s=until_s)


def found_by(shared: Shared, step: str, limit_s: float) -> dict[str, tuple[str, str]]:
    """Question -> verdict and figure of a step that is given so much time."""
    rows = rows_of(replace(BY_NAME[step], limit_s=limit_s), shared)
    return {row.asked: (row.verdict, row.figure) for row in rows}


def test_a_driver_that_hangs_is_left_behind(
    stand_in: StandIn, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stand_in.env("hang-init").items():
        monkeypatch.setenv(name, value)
    began_s = time.monotonic()
    (fault,) = found_by(shared, "facts", 2.0).values()
    assert time.monotonic() - began_s < 30
    assert fault[0] == "NO" and "ended after 2 s" in fault[1]
    for step in ("uuid", "calls"):
        assert list(found_by(shared, step, 2.0).values()) == [
            ("skipped", "no card is known: see the step 'facts'")
        ]


def test_what_a_step_found_before_the_driver_hung_is_kept(
    stand_in: StandIn, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.answers(ONE_CARD + "hang.PowerUsage 60000\n")
    for name, value in stand_in.env().items():
        monkeypatch.setenv(name, value)
    found_by(shared, "facts", 20.0)
    calls = found_by(shared, "calls", 3.0)
    assert calls["idle: utilisation"][0] == "ok" and calls["idle: memory"][0] == "ok"
    assert next(figure for verdict, figure in calls.values() if verdict == "NO").startswith(
        "it was ended"
    )


@pytest.mark.parametrize(
    "mood", ["no-driver", "no-card", "lost", "forbidden", "old-driver", "bare", "mig"]
)
def test_no_fault_of_the_driver_ends_the_call(stand_in: StandIn, mood: str, tmp_path: Path) -> None:
    found = check(tmp_path, "--steps", "uuid,calls", **stand_in.env(mood))
    assert {row["step"] for row in found["rows"]} == {"facts", "uuid", "calls"}


def test_what_is_not_installed_is_skipped_by_name(stand_in: StandIn, tmp_path: Path) -> None:
    words = ["--steps", "jax-parity,keras-feeds", "--python", "jax=/bin/false"]
    found = check(tmp_path, *words, **stand_in.env())
    assert verdicts(found, "jax-parity") == {
        "numbers on card and processor": ("skipped", "jax: no Python here has all of: jax numpy")
    }
    assert found["missing"]["tensorflow"] == "no Python here has all of: tensorflow keras numpy"
    assert [verdict for verdict, _ in verdicts(found, "keras-feeds").values()] == ["skipped"]


@pytest.mark.skipif(bool(shutil.which(CONTROL)), reason="this machine has MPS")
def test_without_mps_its_step_is_skipped(stand_in: StandIn, tmp_path: Path) -> None:
    found = check(tmp_path, "--steps", "mps", **stand_in.env())
    ((verdict, figure),) = verdicts(found, "mps").values()
    assert verdict == "skipped" and figure.startswith("MPS cannot be started: ")


def test_no_time_left_is_said(stand_in: StandIn, tmp_path: Path) -> None:
    found = check(tmp_path, "--steps", "uuid", "--minutes", "0", **stand_in.env())
    assert list(verdicts(found, "facts").values()) == [("skipped", "no time is left (--minutes)")]


@pytest.mark.slow
def test_the_sidecars_columns_are_held_against_nvidia_smi(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.answers(ONE_CARD)
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    variables = {**stand_in.env(), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    good = verdicts(check(tmp_path, "--steps", "columns", **variables), "columns")
    assert len(good) == 8 and {verdict for verdict, _ in good.values()} == {"ok"}
    (tmp_path / "nvidia-smi").write_text(
        SMI.replace("256, 97", "300, 80").replace("256MiB", "0MiB")
    )
    bad = verdicts(check(tmp_path, "--steps", "columns", **variables), "columns")
    wrong = ["cuda: vram_used_bytes", "cuda: gpu_util_pct", "cuda: VRAM by UnixStats's rule"]
    assert [asked for asked, (verdict, _) in bad.items() if verdict == "NO"] == wrong


@pytest.mark.slow
def test_jax_without_a_gpu_says_so_in_every_step(stand_in: StandIn, tmp_path: Path) -> None:
    """Its environment for processors cannot use the stand-in; each step must say that, and none may end."""
    steps = "jax,jax-parity,jax-memory,jax-libraries,libdevice,columns-jax,core"
    words = ["--steps", steps, "--python", f"jax={interpreter('jax')}"]
    found = check(tmp_path, *words, **stand_in.env())
    assert {row["step"] for row in found["rows"]} == {"facts", *steps.split(",")}
    assert verdicts(found, "jax")["jax: told cuda, no card visible"][0] == "ok"
    assert "JAX finds no GPU" in verdicts(found, "jax-parity")["mlp: parity"][1]


def test_an_attempt_never_raises(tmp_path: Path) -> None:
    report = Report(tmp_path / "rows", "some")

    def skips() -> None:
        raise Skip("not here")

    report.attempt("a", lambda: report.row("b", 1, "1"))
    report.attempt("c", skips)
    report.attempt("d", lambda: [][0])
    rows = read_rows(tmp_path / "rows")
    assert [(row.asked, row.verdict) for row in rows] == [
        ("b", "ok"),
        ("c", "skipped"),
        ("d", "NO"),
    ]
    assert "IndexError" in rows[2].figure and len(table(rows).splitlines()) == 5


def test_nothing_says_whose_machine_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "gertrud")
    monkeypatch.setenv("LOGNAME", "gertrud")
    monkeypatch.setenv("HOME", "/home/gertrud")
    monkeypatch.setattr(socket, "gethostname", lambda: "node17")
    text = f"{uuid(3)} on node17 of gertrud: /home/gertrud/x\n/data/gertrud-2"
    assert scrubbed(text) == f"{uuid(3)[:12]} on HOST of USER: ~/x /data/USER-2"


def test_unixstats_takes_the_first_line_with_the_name() -> None:
    text = "| 1 C python3 |\n| 0 N/A 12 C /usr/bin/python3  416MiB |\n| 0 N/A 13 C python3 7MiB |"
    assert unixstats_mib(text, "python") == 416
    assert unixstats_mib(text, "beam.smp") == 0


def test_a_power_is_integrated_over_the_whole_load() -> None:
    series = [(0, 10.0), (1_000_000_000, 20.0), (3_000_000_000, 20.0)]
    # 15 W for one second and 20 W for two; the begin of the load lies half a second before.
    assert _integral(series, 3.5) == pytest.approx(55.0 * 3.5 / 3)
