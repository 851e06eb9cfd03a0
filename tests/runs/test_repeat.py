"""The command to repeat, as a user would type it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from evenground.runs.repeat import COMMAND, command_of

ROOT = Path("/srv/copy")


@pytest.mark.parametrize(
    "words",
    [
        ["--cores", "all"],
        [
            "--configfile",
            "my file.yaml",
            "--config",
            "epochs=5",
            "datasets=[mnist, cifar10]",
            "--cores",
            "2",
        ],
        ["figures", "--cores", "1", "--use-singularity", "--apptainer-args", "--nv --cleanenv"],
        ["--workflow-profile", "profiles/slurm", "--jobs", "3"],
    ],
)
def test_every_option_configuration_and_target_is_in_it(words: list[str]) -> None:
    command = command_of(["/opt/env/bin/snakemake", *words], ROOT, {})
    assert shlex.split(command) == ["snakemake", *words]


def test_what_evenground_called_is_repeated_by_evenground() -> None:
    said = command_of(
        ["x/__main__.py", "--cores", "1"], ROOT, {COMMAND: "./evenground quick --cores 1"}
    )
    assert said == "./evenground quick --cores 1"


def test_what_dvc_called_is_repeated_by_dvc() -> None:
    assert (
        command_of(["snakemake", "--cores", "all", "runs"], ROOT, {"DVC_STAGE": "train"})
        == "dvc repro"
    )


def test_no_login_and_no_path_of_this_machine_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    words = ["--configfile", "/srv/copy/my.yaml", "/home/somebody/x.yaml"]
    words += ["--config", "mirrors=[https://user:secret@host/m?token=secret]"]
    said = command_of(["snakemake", *words], ROOT, {})
    assert "--configfile ./my.yaml ~/x.yaml --config 'mirrors=[https://host/m" in said
    assert "secret" not in said and "somebody" not in said


@pytest.mark.parametrize("word", ["a\nb", "\x1b[31m", "x" * 2001])
def test_what_no_page_can_show_is_not_recorded(word: str) -> None:
    assert command_of(["snakemake", word], ROOT, {}) == ""
