"""One invocation at a time in a working copy, whatever became of the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evenground import invocation
from evenground.errors import EvengroundError

HOLDER = "from evenground.invocation import hold; from pathlib import Path; h = hold(Path()); print('held', flush=True)"
ENDED = "from evenground.invocation import end_with; import time; end_with([{pid}]); time.sleep(60)"


def python(code: str, cwd: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(invocation.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=cwd, env=env, stdout=subprocess.PIPE, text=True
    )


def snakemakes_lock(root: Path) -> Path:
    lock = root / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    return lock


def test_a_second_invocation_is_refused_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    other = python(f"{HOLDER}; import time; time.sleep(60)", tmp_path)
    with other:
        assert other.stdout and other.stdout.readline() == "held\n"
        lock = snakemakes_lock(tmp_path)
        with pytest.raises(
            EvengroundError, match=rf"at work in this folder \(.*, process {other.pid}\): wait"
        ):
            invocation.hold(tmp_path, patience_s=0.2)
        assert lock.is_file()
        other.kill()
    with invocation.hold(tmp_path, patience_s=0.2):
        assert not lock.exists()


def test_it_waits_for_one_that_is_about_to_end(tmp_path: Path) -> None:
    with python(f"{HOLDER}; import time; time.sleep(0.5)", tmp_path) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        invocation.hold(tmp_path).close()


@pytest.mark.parametrize("last", ["", "another-boot 17\n"])
def test_what_another_machine_may_hold_stays(tmp_path: Path, last: str) -> None:
    lock = snakemakes_lock(tmp_path)
    (tmp_path / invocation.LOCK).write_text(last)
    with pytest.raises(
        EvengroundError, match="no invocation is at work there: snakemake --unlock --cores 1"
    ):
        invocation.hold(tmp_path)
    invocation.hold(tmp_path, unlock=True).close()
    assert lock.is_file(), "Snakemake takes it away"


def test_a_process_ends_with_another(tmp_path: Path) -> None:
    first = python("import time; time.sleep(60)", tmp_path)
    with first, python(ENDED.format(pid=first.pid), tmp_path) as second:
        first.kill()
        assert second.wait(20) == -signal.SIGTERM
    with pytest.raises(EvengroundError, match="what started this has ended"):
        invocation.end_with([first.pid])


def test_only_dvc_is_a_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(invocation.DVC, raising=False)
    assert invocation.caller() == []
    monkeypatch.setenv(invocation.DVC, "train")
    assert invocation.caller() == [os.getppid()]
