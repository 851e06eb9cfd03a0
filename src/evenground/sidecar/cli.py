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
from evenground.sidecar.cpus import cpu_list
from evenground.sidecar.gpu_reader import NoSuchCard
from evenground.sidecar.launch import Launch, Options
from evenground.sidecar.recording import Settings, printable, say
from evenground.sidecar.summary import FAILED, NOT_FOUND

MAX_RATE_HZ = 1000.0
GPU_WAIT_S = 15.0


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the command's status, as a shell would show it.

    124: ended at its time limit; 125: the sidecar itself failed; 126 and 127: the command could not
    be started, was not found (attach: no such process); 2: wrong options.
    """
    hold_streams()
    options, command = split_command(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    args = parser.parse_args(options)
    if args.mode == "run" and not command:
        parser.error("the command is missing: put it after --")
    if args.mode != "run" and command:
        parser.error(f"'{args.mode}' takes no command")
    if args.mode != "calibrate" and args.samples:
        fault = to_settings(args).fault()
        if fault:
            parser.error(fault)
    leave(_run(args, command))


def _run(args: argparse.Namespace, command: list[str]) -> int:
    """Run the mode; any failure is one line and a status that is never mistaken for a command's."""
    why = linux.other_numbers()
    if why:
        say(f"{why}: nothing was started")
        return FAILED
    try:
        if args.mode == "run":
            return launch(args, command)
        if args.mode == "attach":
            return attach(args)
        # Imported here, as in `attach`: a training measured by `run` need not pay for it.
        from evenground.sidecar.calibration.calibrate import calibrate_command

        return calibrate_command(args.output, args.quick, args.gpu)
    except NoSuchCard as error:
        say(f"{error}: nothing was started")
    except OSError as error:
        where = f" ({printable(error.filename)})" if error.filename else ""
        say(f"{error.strerror or error}{where}: the measurement is not complete")
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
    while True:
        fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if fd > 2:
            os.close(fd)
            return


def launch(args: argparse.Namespace, command: list[str]) -> int:
    """`run`: measure one command; its exit status. Raises OSError if files are incomplete."""
    options = Options(
        command=command,
        settings=to_settings(args),
        time_limit_s=args.time_limit_s,
        grace_s=args.grace_s,
        end_with_parent=args.end_with_parent,
        cgroup=not args.no_cgroup,
        cpus=args.cpus,
    )
    summary = Launch(options).run()
    if summary.not_started:
        say(summary.not_started)
    return summary.status()


def attach(args: argparse.Namespace) -> int:
    """`attach`: measure running processes; 0 whatever ended it, 127 if there are none.

    125 if standard output cannot be written. Raises OSError if files are incomplete.
    """
    import tempfile

    from evenground.sidecar.attachment import Attach, NoProcess, find_roots
    from evenground.sidecar.unixstats import UnixStats

    show = UnixStats().print if args.format else None
    with tempfile.TemporaryDirectory(prefix="sidecar-") as scratch:
        args.samples = args.samples or Path(scratch, "samples.csv")
        try:
            roots = find_roots(args.pid, args.name, args.wait_s)
        except NoProcess as error:
            say(f"{error}: start it first, or wait for it with --wait-s")
            return NOT_FOUND
        mode = Attach(to_settings(args), roots, args.duration_s, show)
        summary = mode.run()
    cpu = "unknown" if summary.cpu_s is None else f"{summary.cpu_s:.3f} s"
    say(f"{summary.ended} after {summary.rows} rows, CPU {cpu}; {'; '.join(summary.not_seen)}")
    if mode.unprinted:
        say(f"standard output cannot be written: {mode.unprinted}")
        return FAILED
    return 0


def leave(status: int) -> NoReturn:
    """Exit at once: a thread that hangs in the driver must not hold the interpreter back."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # closed, or None
            stream.flush()
    os._exit(status)


def split_command(argv: list[str]) -> tuple[list[str], list[str]]:
    """The sidecar's options and the command, which follows the first `--`."""
    if "--" not in argv:
        return argv, []
    cut = argv.index("--")
    return argv[:cut], argv[cut + 1 :]


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
    _add_run(run)
    _add_attach(modes.add_parser("attach", help="measure processes that are running already"))
    calibration = modes.add_parser(
        "calibrate", help="measure known loads against the kernel's own account"
    )
    calibration.add_argument("--output", type=Path, help="file for the figures (JSON)")
    _add_gpu(calibration)
    calibration.add_argument("--quick", action="store_true", help="fewer and shorter loads")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--time-limit-s",
        type=seconds,
        default=math.inf,
        help="end the command after this many seconds, status 124",
    )
    run.add_argument(
        "--grace-s",
        type=seconds,
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
        "--gpu-wait-s",
        type=seconds,
        default=GPU_WAIT_S,
        metavar="X",
        help=f"seconds to wait for the NVIDIA driver before the start (default: {GPU_WAIT_S:g})",
    )


def _add_common(mode: argparse.ArgumentParser, samples_required: bool) -> None:
    mode.add_argument(
        "--samples", type=file_name, required=samples_required, help="file for the rows (CSV)"
    )
    mode.add_argument(
        "--header",
        type=file_name,
        help="file for units, sources and summary (default: SAMPLES as .json)",
    )
    mode.add_argument("--rate-hz", type=rate, default=10.0, help="rows a second (default: 10)")
    gpu = mode.add_mutually_exclusive_group()
    gpu.add_argument("--no-gpu", action="store_true", help="do not query the NVIDIA driver")
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
    who.add_argument("--pid", type=int, action="append", help="process to measure; may be repeated")
    who.add_argument("--name", help="measure all processes of this name")
    _add_common(mode, samples_required=False)
    mode.add_argument(
        "--duration-s",
        type=seconds,
        default=math.inf,
        help="stop after this time (default: at the last exit)",
    )
    mode.add_argument(
        "--wait-s", type=seconds, default=0.0, help="wait so long for the process to appear"
    )
    mode.add_argument("--format", choices=["csv"], help="print every row as UnixStats did")
    # Options of `run` alone.
    mode.set_defaults(mapped=None, gpu_wait_s=GPU_WAIT_S)


def to_settings(args: argparse.Namespace) -> Settings:
    """Settings of `run` and of `attach`."""
    return Settings(
        samples=args.samples,
        header=args.header or args.samples.with_suffix(".json"),
        rate_hz=args.rate_hz,
        gpu=not args.no_gpu,
        pss=not args.no_pss,
        mark_file=args.mark_file,
        mapped=args.mapped,
        card=args.gpu,
        gpu_wait_s=args.gpu_wait_s,
    )


def file_name(text: str) -> Path:
    """A path that can be a file's; raises ArgumentTypeError for one that names none."""
    path = Path(text)
    if path.name in ("", "..") or text.endswith(os.sep):
        raise argparse.ArgumentTypeError(f"'{text}' names no file")
    return path


def seconds(text: str) -> float:
    """A finite number, not below zero; raises ArgumentTypeError or ValueError."""
    value = float(text)
    # Every comparison with NaN is false.
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number 0 or above")
    return value


def rate(text: str) -> float:
    """Rows a second; raises ArgumentTypeError or ValueError."""
    value = float(text)
    if not 0 < value <= MAX_RATE_HZ:
        wanted = f"above 0 and at most {MAX_RATE_HZ:g}"
        raise argparse.ArgumentTypeError(f"'{text}' is not a number {wanted}")
    return value
