"""The sidecar from Python, in a process of its own: `run` measures a command, `attach` a running process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from evenground.sidecar.cpus import list_text
from evenground.sidecar.summary import AttachSummary, Summary

_SOURCE = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from evenground.sidecar.cli import main; main()"
_PATIENCE_S = 10.0
Stream = int | IO[Any] | None


class SidecarError(RuntimeError):
    """The sidecar itself failed, so that there is no complete measurement; the text says how."""


def run(
    command: Sequence[str],
    *,
    samples: Path,
    header: Path,
    rate_hz: float = 10.0,
    time_limit_s: float | None = None,
    grace_s: float = 5.0,
    gpu: bool = True,
    card: str | None = None,
    cpus: Collection[int] | None = None,
    mapped: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
) -> Summary:
    """Run `command` with a sidecar beside it, write both files, and return how it went.

    `card` is the UUID of the card or MIG instance that alone counts (None: all cards). Streams,
    environment and working folder are the command's, as for subprocess.Popen; it alone is bound to `cpus`
    (None: to none). `mapped` gets the names of all files that are mapped as code.
    Relative output paths are the caller's. A command that fails, hits its limit or cannot be started is
    no error but stands in the summary. When this process dies, or an exception such as
    KeyboardInterrupt comes, the command is ended. SidecarError when there is no summary.
    """
    argv = ["run", "--end-with-parent", *_common(samples, header, rate_hz, gpu, card)]
    argv += ["--grace-s", repr(float(grace_s))]
    argv += [] if time_limit_s is None else ["--time-limit-s", repr(float(time_limit_s))]
    argv += [] if mapped is None else ["--mapped", str(mapped.absolute())]
    argv += [] if cpus is None else [f"--cpus={list_text(cpus)}"]
    streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    found = _call([*argv, "--", *command], header, grace_s, env=env, cwd=cwd, **streams)
    return Summary(**_with_tuples(found, "not_seen"))


def attach(
    pid: int,
    *,
    samples: Path,
    header: Path,
    rate_hz: float = 10.0,
    duration_s: float | None = None,
    gpu: bool = True,
    card: str | None = None,
) -> AttachSummary:
    """Measure a running process and what it starts until it ends, or for `duration_s` seconds.

    `card` as for `run`. SidecarError when there is no such process or card, or no summary.
    """
    argv = ["attach", "--pid", str(pid), *_common(samples, header, rate_hz, gpu, card)]
    argv += [] if duration_s is None else ["--duration-s", repr(float(duration_s))]
    found = _call(argv, header, 0.0, stderr=subprocess.PIPE)
    return AttachSummary(**_with_tuples(found, "pids", "not_seen"))


def _with_tuples(found: dict[str, Any], *names: str) -> dict[str, Any]:
    """JSON has lists only."""
    return found | {name: tuple(found[name]) for name in names}


def _common(samples: Path, header: Path, rate_hz: float, gpu: bool, card: str | None) -> list[str]:
    argv = ["--samples", str(samples.absolute()), "--header", str(header.absolute())]
    argv += ["--rate-hz", repr(float(rate_hz))]
    if not gpu:
        return [*argv, "--no-gpu"]
    return argv if card is None else [*argv, f"--gpu={card}"]


def _call(argv: list[str], header: Path, grace_s: float, **popen: Any) -> dict[str, Any]:
    """The summary of a sidecar in a process of its own; SidecarError when it left none."""
    header.unlink(missing_ok=True)
    with subprocess.Popen(sidecar_command(argv), close_fds=False, **popen) as process:
        try:
            said = process.communicate()[1]
        except BaseException:
            _end(process, grace_s)
            raise
    why = said.decode(errors="replace").strip() if said else "its error output says why"
    return _read_summary(header, process.returncode, why)


def sidecar_command(arguments: Sequence[str]) -> list[str]:
    """The sidecar's command line in this interpreter, from wherever this package lies.

    Without `site`, whose import is a sixth of the start's CPU.
    """
    return [sys.executable, "-I", "-S", "-c", _START, str(_SOURCE), *arguments]


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """The sidecar passes the request on; if that is not enough, its guardian ends the tree."""
    process.terminate()
    try:
        process.wait(grace_s + _PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _read_summary(header: Path, status: int, why: str) -> dict[str, Any]:
    try:
        summary: dict[str, Any] | None = json.loads(header.read_text(encoding="utf-8"))["summary"]
    except FileNotFoundError:
        summary = None
    if summary is None:
        raise SidecarError(f"the sidecar ended with status {status} and left no summary: {why}")
    return summary
