"""The definitions of the containers: their arguments are the pins, and none is left out or misspelt."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from evenground.containers.images import base_of, definition
from evenground.containers.pins import load_pins

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = sorted((ROOT / "containers").glob("*.def"))
every_definition = pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)


def section(text: str, name: str) -> str:
    """The lines of a section of a definition."""
    found = re.search(rf"^%{name}\n((?:(?:[ \t].*)?\n)+)", text, re.M)
    assert found, name
    return found[1]


def defaults(text: str) -> dict[str, str]:
    """The arguments of a definition with their default values."""
    parts = (
        line.strip().partition("=")
        for line in section(text, "arguments").split("\n")
        if line.strip()
    )
    return {name: value for name, _, value in parts}


def test_every_pinned_engine_has_one_and_none_is_left_over() -> None:
    used = {definition(ROOT, pinned.lock) for pinned in load_pins(ROOT).engines.values()}
    assert {ROOT / path for path in used} == set(DEFINITIONS)


@every_definition
def test_the_defaults_are_the_pins(path: Path) -> None:
    pins = load_pins(ROOT)
    assert defaults(path.read_text(encoding="utf-8")) == {
        "bootstrap": "docker",
        "base": base_of(ROOT, None).reference,
        "base_id": base_of(ROOT, None).identity,
        "python": pins.base.python,
        "cuda_runtime": pins.cuda_runtime,
        "cudnn": pins.cudnn,
        "nccl": pins.nccl,
        "recipe": "by-hand",
    }


@every_definition
def test_every_argument_is_used_and_every_use_is_an_argument(path: Path) -> None:
    """Whose environment it is, is always said: it has no default."""
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\{\{ (\w+) \}\}", text)) == {"lock", *defaults(text)}


@every_definition
def test_its_scripts_end_at_the_first_command_that_fails(path: Path) -> None:
    """Apptainer runs `%test` with a plain shell: without it only the last command counts."""
    text = path.read_text(encoding="utf-8")
    for name in ("post", "test"):
        assert section(text, name).lstrip().startswith("set -eu\n"), name


@every_definition
def test_apt_can_work_for_a_user_without_other_users(path: Path) -> None:
    """Its downloads are another user's unless it is told, and in a user namespace there is none."""
    before, update, after = section(path.read_text(encoding="utf-8"), "post").partition(
        "apt-get update"
    )
    assert update and "python3 python3-venv" in after
    assert """echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/90one-user\n""" in before
    assert "rm -f /etc/apt/sources.list.d/cuda*.list\n" in before


@every_definition
def test_the_environments_are_looked_at_when_it_is_built(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "whole.py list" in section(text, "test") and "engine runner" in section(text, "test")
    for kind in ("in", "txt"):
        assert f"    envs/{{{{ lock }}}}.{kind} /opt/evenground/engine.{kind}\n" in section(
            text, "files"
        )


def test_elixirs_archives_are_checked(tmp_path: Path) -> None:
    """By the lines of the definition, against the publisher's list of builds; `curl` stands in."""
    post = section((ROOT / "containers/axon.def").read_text(encoding="utf-8"), "post")
    lines = re.search(
        r" *curl -fsSL .*OTP-\$otp.*\n(.*\n)*?.*elixir\.zip\" \| sha256sum --check\n", post
    )
    assert lines
    otp, zipped = tmp_path / "otp.tar.gz", tmp_path / "elixir.zip"
    (tmp_path / "curl").write_text(
        '#!/bin/sh\ncase $2 in *builds.txt) cat "$LIST" ;; *) echo "$2" | tee "$4" ;; esac\n'
    )
    (tmp_path / "curl").chmod(0o755)
    given = f"builds=B releases=R otp=27.3.4.2 elixir=1 elixir_sha256={digest_of('R/v1/elixir-otp-27.zip')}\n"
    script = given + lines[0].replace("/opt/otp.tar.gz", str(otp)).replace(
        "/opt/elixir.zip", str(zipped)
    )
    listed = {
        f"OTP-27.3.4.2 abc 2025-07-01T00:00:00Z {digest_of('B/OTP-27.3.4.2.tar.gz')}": (
            0,
            "otp.tar.gz: OK",
        ),
        f"OTP-27.3.4.2 abc 2025-07-01T00:00:00Z {'0' * 64}": (1, "otp.tar.gz: FAILED"),
        "OTP-27.3.4.2 abc 2025-07-01T00:00:00Z": (
            0,
            "not checked, for its publisher lists no sha256: ",
        ),
        f"OTP-27.3.4.21 abc 2025-07-01T00:00:00Z {'0' * 64}": (0, "not checked, for its publisher"),
    }
    for line, (status, said) in listed.items():
        (tmp_path / "builds.txt").write_text(f"OTP-26 a b {'1' * 64}\n{line}\n")
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LIST": str(tmp_path / "builds.txt")}
        done = subprocess.run(["sh", "-euc", script], env=env, capture_output=True, text=True)
        assert (done.returncode, said in done.stdout) == (status, True), done.stdout + done.stderr
        assert ("elixir.zip: OK" in done.stdout) == (status == 0)
    wrong = script.replace("elixir_sha256=", "elixir_sha256=0")
    assert subprocess.run(["sh", "-euc", wrong], env=env, capture_output=True).returncode == 1


@pytest.mark.parametrize(
    ("linked", "status", "said"),
    [
        (
            "libcudnn.so.9 => /opt/evenground/cuda/libcudnn.so.9 (0x7)",
            0,
            "computed 'Evenground.Main.probe()'",
        ),
        (
            "libcuda.so.1 => not found",
            0,
            "EXLA is not tried: where this is built there is no driver",
        ),
        ("nvshmem_transport_ibrc.so.3 => not found", 1, "not found: nvshmem_transport_ibrc.so.3"),
        (
            "libcuda.so.1 => not found\n\tlibnccl.so.2 => not found",
            1,
            "not found: libcuda.so.1 libnccl.so.2",
        ),
        (None, 0, "EXLA is not built in: this image has the binary backend only"),
    ],
)
def test_exla_is_loaded_when_its_image_is_built(
    tmp_path: Path, linked: str | None, status: int, said: str
) -> None:
    """By the lines of the definition; a driver is the machine's, and may lack where an image is built."""
    test = section((ROOT / "containers/axon.def").read_text(encoding="utf-8"), "test")
    lines = re.search(r" *exla=\$\(echo .*\n(.*\n)*?    fi\n", test)
    assert lines
    built = tmp_path / "axon/abc-cuda12/build/lib"
    built.mkdir(parents=True)
    if linked:
        (built / "exla/priv").mkdir(parents=True)
    for name, text in (
        ("ldd", f"printf '\\t{linked}\\n'"),
        ("elixir", """echo "computed '$4'" """),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    script = lines[0].replace("/opt/evenground/axon", str(tmp_path / "axon"))
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-euc", script], env=env, capture_output=True, text=True)
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True), (
        done.stdout + done.stderr
    )


def digest_of(address: str) -> str:
    """Sha256 of what the stand-in for `curl` delivers."""
    return hashlib.sha256(f"{address}\n".encode()).hexdigest()
