"""Command line: `python -m evenground.sidecar run | attach | calibrate`."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from evenground.sidecar import linux
from evenground.sidecar.cpus import parse_cpus
from evenground.sidecar.gpu_counted import NoSuchCard
from evenground.sidecar.launch import Launch, Options
from evenground.sidecar.recording import Settings, printable, say
from evenground.sidecar.summary import FAILED, NOT_FOUND

MAX_RATE_HZ = 1000.0
GPU_WAIT_S = 15.0


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the command's status, as a shell would show it.

    124: ended at its time limit; 125: the sidecar itself failed; 126 and 127: the command could not
    be started, was not found (attach: no such process); 2: wrong options.
    """
    hold_streams()
    words = sys.argv[1:] if arguments is None else arguments
    own, command = split_command(words)
    parser = build_parser()
    chosen = parser.parse_args(own)
    if chosen.mode == "run" and not command:
        parser.error("the command is missing: put it after --")
    if chosen.mode != "run" and command:
        parser.error(f"'{chosen.mode}' takes no command")
    if chosen.mode != "calibrate" and chosen.samples:
        fault = to_settings(chosen).fault()
        if fault:
            parser.error(fault)
    leave(_run(chosen, command))


def _run(chosen: argparse.Namespace, command: list[str]) -> int:
    """Do what was asked; whatever goes wrong is one line and a status that no command is mistaken for."""
    why = linux.other_numbers()
    if why:
        say(f"{why}: nothing was started")
        return FAILED
    try:
        return _MODES[chosen.mode](chosen, command)
    except NoSuchCard as error:
        say(f"{error}: nothing was started")
        return FAILED
    except OSError as error:
        where = f" ({printable(error.filename)})" if error.filename else ""
        say(f"{error.strerror or error}{where}: the measurement is not complete")
        return FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        import traceback

        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        what = f"{type(error).__name__}: {error}"
        say(f"fault of the sidecar itself ({where}: {what}): the measurement is not complete")
        return FAILED


def hold_streams() -> None:
    """Keep the numbers of standard streams that the caller closed from files that are opened here.

    The command finds them closed all the same: what Python opens is closed when it is executed.
    """
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)


def launch(chosen: argparse.Namespace, command: list[str]) -> int:
    """`run`: measure one command and return the exit status; OSError when the files are not complete."""
    options = Options(
        command=command,
        settings=to_settings(chosen),
        time_limit_s=chosen.time_limit_s,
        grace_s=chosen.grace_s,
        end_with_parent=chosen.end_with_parent,
        cgroup=not chosen.no_cgroup,
        cpus=chosen.cpus,
    )
    mode = Launch(options)
    summary = mode.run()
    if summary.not_started:
        say(summary.not_started)
    return summary.status()


def attach(chosen: argparse.Namespace, _: list[str]) -> int:
    """`attach`: measure running processes; 0 whatever ended it, 127 when there are none.

    125 where what is printed cannot be written.
    """
    # Imported here, as below: `run` need not pay for it beside every training.
    import tempfile

    from evenground.sidecar.attachment import Attach, AttachOptions, NoProcess
    from evenground.sidecar.show import printer

    with tempfile.TemporaryDirectory(prefix="sidecar-") as scratch:
        chosen.samples = chosen.samples or Path(scratch, "samples.csv")
        limits = chosen.duration_s or math.inf, chosen.wait_s or 0.0
        options = AttachOptions(to_settings(chosen), tuple(chosen.pid or ()), chosen.name, *limits)
        try:
            mode = Attach(options)
        except NoProcess as error:
            say(f"{error}: start it first, or wait for it with --wait-s")
            return NOT_FOUND
        summary = mode.run(printer(chosen.format))
    cpu = "unknown" if summary.cpu_s is None else f"{summary.cpu_s:.3f} s"
    say(f"{summary.ended} after {summary.rows} rows, CPU {cpu}; {'; '.join(summary.not_seen)}")
    if mode.unprinted:
        say(f"standard output cannot be written: {mode.unprinted}")
        return FAILED
    return 0


def calibrate(chosen: argparse.Namespace, _: list[str]) -> int:
    """`calibrate`: known loads against the kernel's truth; 0 when every figure passes, else 1."""
    from evenground.sidecar.calibration.calibrate import calibrate_command

    return calibrate_command(chosen.output, chosen.quick, chosen.gpu)


_MODES = {"run": launch, "attach": attach, "calibrate": calibrate}


def leave(status: int) -> NoReturn:
    """Exit at once: a thread that hangs in the driver must not hold the interpreter back."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # closed, or never there
            stream.flush()
    os._exit(status)


def split_command(words: list[str]) -> tuple[list[str], list[str]]:
    """The sidecar's words and the command's, which follow the first `--`."""
    if "--" not in words:
        return words, []
    cut = words.index("--")
    return words[:cut], words[cut + 1 :]


def build_parser() -> argparse.ArgumentParser:
    """Options of the three modes."""
    parser = argparse.ArgumentParser(
        prog="sidecar", description="Measures CPU, memory and GPU of a command over time."
    )
    modes = parser.add_subparsers(required=True, metavar="run | attach | calibrate", dest="mode")
    run = modes.add_parser(
        "run", usage="sidecar run [options] -- command ...", help="start a command and measure it"
    )
    _add_common(run, samples_required=True)
    run.add_argument(
        "--time-limit-s",
        type=Positive(),
        help="end the command after this many seconds, status 124",
    )
    run.add_argument(
        "--grace-s",
        type=Positive(),
        default=5.0,
        help="seconds between SIGTERM and SIGKILL (default: 5)",
    )
    run.add_argument(
        "--cpus", type=cpu_list, metavar="LIST", help="bind the command to these, such as 0-3,8"
    )
    run.add_argument(
        "--mapped",
        type=file_name,
        metavar="FILE",
        help="file for the names of all files mapped as code (JSON)",
    )
    run.add_argument("--no-cgroup", action="store_true", help="make no cgroup for the command")
    run.add_argument(
        "--end-with-parent",
        action="store_true",
        help="end the command when the caller of sidecar dies",
    )
    run.add_argument(
        "--mark-fifo",
        type=file_name,
        help="make this named pipe; lines written to it are phase marks",
    )
    run.add_argument(
        "--gpu-wait-s",
        type=Positive(or_zero=True),
        default=GPU_WAIT_S,
        metavar="X",
        help=f"seconds to wait for the NVIDIA driver before the start (default: {GPU_WAIT_S:g})",
    )
    _add_attach(modes.add_parser("attach", help="measure processes that are running already"))
    calibration = modes.add_parser(
        "calibrate", help="measure known loads against the kernel's own account"
    )
    calibration.add_argument("--output", type=Path, help="file for the figures (JSON)")
    _add_gpu(calibration)
    calibration.add_argument("--quick", action="store_true", help="fewer and shorter loads")
    return parser


def _add_common(mode: argparse.ArgumentParser, samples_required: bool) -> None:
    mode.add_argument(
        "--samples", type=file_name, required=samples_required, help="file for the rows (CSV)"
    )
    mode.add_argument(
        "--header",
        type=file_name,
        help="file for units, sources and summary (default: SAMPLES as .json)",
    )
    mode.add_argument(
        "--rate-hz", type=Positive(MAX_RATE_HZ), default=10.0, help="rows a second (default: 10)"
    )
    gpu = mode.add_mutually_exclusive_group()
    gpu.add_argument("--no-gpu", action="store_true", help="do not ask the NVIDIA driver")
    _add_gpu(gpu)
    mode.add_argument("--no-pss", action="store_true", help="do not read proportional set sizes")
    mode.add_argument(
        "--mark-file", type=file_name, help="lines that are appended to this file are phase marks"
    )


def _add_gpu(mode: argparse._ActionsContainer) -> None:
    mode.add_argument(
        "--gpu",
        metavar="UUID",
        help="the card or MIG instance that alone counts (default: all cards)",
    )


def _add_attach(mode: argparse.ArgumentParser) -> None:
    who = mode.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--pid", type=int, action="append", help="process to measure; may be given again"
    )
    who.add_argument("--name", help="measure all processes of this name")
    _add_common(mode, samples_required=False)
    mode.add_argument(
        "--duration-s",
        "--duration",
        type=Positive(),
        help="stop after this time (default: at the last exit)",
    )
    mode.add_argument("--wait-s", type=Positive(), help="wait so long for the process to appear")
    mode.add_argument(
        "--format",
        choices=["pretty", "csv"],
        help="print every row: for a person, or as UnixStats did",
    )


def to_settings(chosen: argparse.Namespace) -> Settings:
    """What both modes were asked for."""
    return Settings(
        samples=chosen.samples,
        header=chosen.header or chosen.samples.with_suffix(".json"),
        rate_hz=chosen.rate_hz,
        gpu=not chosen.no_gpu,
        pss=not chosen.no_pss,
        mark_fifo=getattr(chosen, "mark_fifo", None),
        mark_file=chosen.mark_file,
        mapped=getattr(chosen, "mapped", None),
        card=chosen.gpu,
        gpu_wait_s=getattr(chosen, "gpu_wait_s", GPU_WAIT_S),
    )


def file_name(text: str) -> Path:
    """A path that can be a file's; ArgumentTypeError where it names none."""
    path = Path(text)
    if path.name in ("", "..") or text.endswith(os.sep):
        raise argparse.ArgumentTypeError(f"'{text}' names no file")
    return path


def cpu_list(text: str) -> frozenset[int]:
    """The CPUs of a list; ArgumentTypeError where it is none."""
    try:
        return parse_cpus(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class Positive:
    """A number above zero, or zero, too, and at most `top`."""

    def __init__(self, top: float = math.inf, or_zero: bool = False) -> None:
        self._top, self._or_zero = top, or_zero

    def __call__(self, text: str) -> float:
        """The number; ArgumentTypeError when it is none, or out of range."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        least = "0 or above" if self._or_zero else "above 0"
        if not (0 <= value <= self._top and value < math.inf and (value or self._or_zero)):
            limit = f" and at most {self._top:g}" if self._top < math.inf else ""
            raise argparse.ArgumentTypeError(f"'{text}' is not a number {least}{limit}")
        return value
