"""The last lines of an invocation: each failed run, after Snakemake's own messages."""

import atexit

from evenground.runs.closing import closing_lines


def name_failed_runs(broken):
    """Print them when this process ends: Snakemake prints its own error after its hooks have run."""
    log = Path("results/logs/complete.log")
    # The number of an invocation is the time when it began.
    judged = log.is_file() and log.stat().st_mtime_ns > int(os.environ[INVOCATION])
    lines = closing_lines(STUDY, judged, broken)
    if lines and MAIN:
        atexit.register(print, "\n".join(lines), file=sys.stderr, flush=True)


onsuccess:
    name_failed_runs(broken=False)


onerror:
    name_failed_runs(broken=True)
