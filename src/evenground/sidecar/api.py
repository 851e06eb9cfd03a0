"""The sidecar from Python, in a process of its own: `run` a command, `attach` to a process."""

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
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from evenground.sidecar.cli import main; main()"
)
# Longer than the command's grace after SIGTERM, 5 s.
_PATIENCE_S = 15.0
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
    environment and working folder are the command's, as for subprocess.Popen; it alone is bound to
    `cpus` (None: to none). `mapped` gets the names of all files that are mapped as code. Relative
    output paths are the caller's. A command that fails, hits its limit or cannot be started is no
    error but stands in the summary. When this process dies, or an exception such as
    KeyboardInterrupt comes, the command is ended. Raises SidecarError if there is no summary.
    """
    args = ["run", "--end-with-parent"] + _common(samples, header, rate_hz, gpu, card)
    if time_limit_s is not None:
        args.append(f"--time-limit-s={float(time_limit_s)!r}")
    if mapped is not None:
        args.append(f"--mapped={mapped.absolute()}")
    if cpus is not None:
        args.append(f"--cpus={list_text(cpus)}")
    args += ["--"] + list(command)
    summary = _measure(args, header, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
    return Summary(**summary)


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

    `card` as for `run`. Raises SidecarError if there is no such process or card, or no summary.
    """
    args = ["attach", f"--pid={pid}"] + _common(samples, header, rate_hz, gpu, card)
    if duration_s is not None:
        args.append(f"--duration-s={float(duration_s)!r}")
    return AttachSummary(**_measure(args, header, stderr=subprocess.PIPE))


def _common(samples: Path, header: Path, rate_hz: float, gpu: bool, card: str | None) -> list[str]:
    args = [f"--samples={samples.absolute()}", f"--header={header.absolute()}"]
    args.append(f"--rate-hz={float(rate_hz)!r}")
    if not gpu:
        args.append("--no-gpu")
    elif card is not None:
        args.append(f"--gpu={card}")
    return args


def _measure(args: list[str], header: Path, **popen: Any) -> dict[str, Any]:
    """The summary of a sidecar in a process of its own; SidecarError if it left none."""
    header.unlink(missing_ok=True)
    # Descriptors that the caller made inheritable are the command's, as without a sidecar.
    with subprocess.Popen(sidecar_command(args), close_fds=False, **popen) as process:
        try:
            _, output = process.communicate()
        except BaseException:
            _end(process)
            raise
    summary: dict[str, Any] | None = None
    if header.exists():
        summary = json.loads(header.read_text(encoding="utf-8"))["summary"]
    if summary is None:
        why = output.decode(errors="replace").strip() if output else "its error output says why"
        raise SidecarError(
            f"the sidecar ended with status {process.returncode} and left no summary: {why}"
        )
    return summary


def sidecar_command(arguments: Sequence[str]) -> list[str]:
    """The sidecar's command line in this interpreter, from wherever this package lies."""
    # -S: importing `site` would be a sixth of the start's CPU.
    command = [sys.executable, "-I", "-S", "-c", _START, str(_SOURCE)]
    command.extend(arguments)
    return command


def _end(process: subprocess.Popen[bytes]) -> None:
    # The sidecar ends the command; if it does not do so in time, its guardian ends the tree.
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
