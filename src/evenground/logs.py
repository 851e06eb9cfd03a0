"""Messages for a log that is read later: one line each on standard error, with time and level."""

from __future__ import annotations

import sys
import time
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger, LogRecord

TIME = "%Y-%m-%d %H:%M:%S"


def info(message: str) -> None:
    """Log what goes on, such as a training that begins."""
    _logger().info(message)


def warning(message: str) -> None:
    """Log what a user should look at, though the work goes on."""
    _logger().warning(message)


@cache
def _logger() -> Logger:
    """The logger of this process, with a handler of its own: Snakemake's get no message of it."""
    # Imported late, for it takes 5 ms: most scripts have nothing to log.
    import logging

    class Lines(logging.Handler):
        def emit(self, record: LogRecord) -> None:
            print(_line(record), file=sys.stderr, flush=True)

    logger = logging.getLogger("evenground")
    logger.setLevel(logging.INFO)
    logger.addHandler(Lines())
    logger.propagate = False
    return logger


def _line(record: LogRecord) -> str:
    """`2026-11-30 22:50:01 warning: MESSAGE`, in local time and without line breaks."""
    logged = time.strftime(TIME, time.localtime(record.created))
    message = " ".join(record.getMessage().split())
    return f"{logged} {record.levelname.lower()}: {message}"
