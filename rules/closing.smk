"""The last words of an invocation: each failed run, when Snakemake has said all of its own."""

import atexit

from evenground.runs.closing import closing_lines


def name_failed_runs(broken):
    """Print them when this process ends: Snakemake's own error text comes after its hooks."""
    log = Path("results/logs/complete.log")
    # An invocation's number is the time of its start.
    judged = log.is_file() and log.stat().st_mtime_ns > int(os.environ[INVOCATION])
    lines = closing_lines(STUDY, judged, broken)
    if lines and workflow.is_main_process:
        atexit.register(print, *lines, sep="\n", file=sys.stderr, flush=True)


onsuccess:
    name_failed_runs(broken=False)


onerror:
    name_failed_runs(broken=True)
