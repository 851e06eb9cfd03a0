"""Command line: `python -m evenground.sidecar run [options] -- command ...`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import NoReturn

from evenground.sidecar.launch import Launch, Options
from evenground.sidecar.summary import FAILED

MAX_RATE_HZ = 1000.0


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the command's status, as a shell would show it.

    124: ended at its time limit; 125: the sidecar itself failed; 126 and 127: the command could not
    be started, was not found; 2: wrong options.
    """
    words = sys.argv[1:] if arguments is None else arguments
    own, command = split_command(words)
    parser = build_parser()
    chosen = parser.parse_args(own)
    if not command:
        parser.error("the command is missing: put it after --")
    leave(launch(to_options(chosen, command)))


def launch(options: Options) -> int:
    """Run one command and return the exit status; failures become one line on standard error."""
    try:
        summary = Launch(options).run()
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        complain(f"{error.strerror or error}{where}: the measurement is not complete")
        return FAILED
    if summary.not_started:
        complain(summary.not_started)
    return summary.status()


def leave(status: int) -> NoReturn:
    """Exit at once: a thread that hangs in the driver must not hold the interpreter back."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"sidecar: {text}", file=sys.stderr, flush=True)


def split_command(words: list[str]) -> tuple[list[str], list[str]]:
    """The sidecar's words and the command's, which follow the first `--`."""
    if "--" not in words:
        return words, []
    cut = words.index("--")
    return words[:cut], words[cut + 1 :]


def build_parser() -> argparse.ArgumentParser:
    """Options of `run`, the only mode so far."""
    parser = argparse.ArgumentParser(
        prog="sidecar", description="Measures CPU, memory and GPU of a command over time."
    )
    modes = parser.add_subparsers(required=True, metavar="run")
    run = modes.add_parser(
        "run", usage="sidecar run [options] -- command ...", help="start a command and measure it"
    )
    run.add_argument("--samples", type=Path, required=True, help="file for the rows (CSV)")
    run.add_argument(
        "--header", type=Path, help="file for units, sources and summary (default: SAMPLES as .json)"
    )
    run.add_argument(
        "--rate-hz", type=Positive(MAX_RATE_HZ), default=10.0, help="rows a second (default: 10)"
    )
    run.add_argument(
        "--time-limit-s", type=Positive(), help="end the command after this many seconds, status 124"
    )
    run.add_argument(
        "--grace-s", type=Positive(), default=5.0, help="seconds between SIGTERM and SIGKILL (default: 5)"
    )
    run.add_argument("--no-gpu", action="store_true", help="do not ask the NVIDIA driver")
    run.add_argument(
        "--end-with-parent", action="store_true", help="end the command when the caller of sidecar dies"
    )
    return parser


class Positive:
    """A number above zero, and at most `top`."""

    def __init__(self, top: float = math.inf) -> None:
        self._top = top

    def __call__(self, text: str) -> float:
        """The number; ArgumentTypeError when it is none, or out of range."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 < value <= self._top and value < math.inf):
            limit = f" and at most {self._top:g}" if self._top < math.inf else ""
            raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0{limit}")
        return value


def to_options(chosen: argparse.Namespace, command: list[str]) -> Options:
    """What was asked for on the command line."""
    return Options(
        command=command,
        samples=chosen.samples,
        header=chosen.header or chosen.samples.with_suffix(".json"),
        rate_hz=chosen.rate_hz,
        time_limit_s=chosen.time_limit_s,
        grace_s=chosen.grace_s,
        gpu=not chosen.no_gpu,
        end_with_parent=chosen.end_with_parent,
    )
