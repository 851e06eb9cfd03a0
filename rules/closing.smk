"""The last lines of an invocation: each failed run, after Snakemake's own messages."""

from evenground.runs.closing import name_failed_runs


onsuccess:
    name_failed_runs(BEGUN.study, began_ns=int(JOBS.number), broken=False)


onerror:
    name_failed_runs(BEGUN.study, began_ns=int(JOBS.number), broken=True)
