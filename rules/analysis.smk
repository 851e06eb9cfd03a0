"""From the index to normalised timelines, tables, verdicts, figures and the report."""


rule normalise:
    input:
        code("analysis"),
        index=f"{OUT}/index.json",
    output:
        expand(
            f"{OUT}/normalised/{{name}}.csv",
            name=["timelines", "mean", "phases", "missing", "by_phase", "conditions", "idle", "memory"],
        ),
    log:
        "results/logs/normalise.log",
    shell:
        "{PYTHON:q} scripts/normalise.py --index {input.index:q} --output-dir {OUT}/normalised"
        " 2>&1 | tee {log:q}"


rule tables:
    input:
        code("analysis"),
        index=f"{OUT}/index.json",
        mean=f"{OUT}/normalised/mean.csv",
    output:
        expand(
            f"{OUT}/tables/{{name}}.{{form}}",
            name=["training_time", "time_ratio", "resources", "accuracy", "runs", "calibration"]
            + ["quality", "idle_windows", "memory_after", "lines_of_code"],
            form=["csv", "md"],
        ),
        metrics=f"{OUT}/metrics.json",
    log:
        "results/logs/tables.log",
    shell:
        "{PYTHON:q} scripts/tables.py --index {input.index:q} --normalised {OUT}/normalised"
        " --output-dir {OUT}/tables --metrics {output.metrics:q} 2>&1 | tee {log:q}"


rule verdicts:
    """Every claim judged by the runs there are."""
    input:
        code("analysis", "claims"),
        claims="claims.yaml",
        published="data/published/thesis-2022.csv",
        index=f"{OUT}/index.json",
    output:
        expand(f"{OUT}/tables/{{name}}.{{form}}", name=["verdicts", "arithmetic"], form=["csv", "md"]),
        record=f"{OUT}/verdicts.json",
    log:
        "results/logs/verdicts.log",
    shell:
        "{PYTHON:q} scripts/verdicts.py --index {input.index:q} --output-dir {OUT}/tables"
        " --record {output.record:q} 2>&1 | tee {log:q}"


rule draw:
    input:
        code("analysis", "report"),
        wanted_datasets,
        index=f"{OUT}/index.json",
        mean=f"{OUT}/normalised/mean.csv",
        times=f"{OUT}/tables/training_time.csv",
    output:
        f"{OUT}/figures/figures.json",
    log:
        "results/logs/draw.log",
    shell:
        "{PYTHON:q} scripts/figures.py --index {input.index:q} --normalised {OUT}/normalised"
        " --tables {OUT}/tables --output-dir {OUT}/figures 2>&1 | tee {log:q}"


rule page:
    """The report: verdicts, tables and figures in one file that needs nothing beside it."""
    input:
        code("analysis", "report"),
        sorted(map(str, Path("src/evenground/report/page").glob("page.*"))),
        f"{OUT}/tables/runs.csv",
        f"{OUT}/figures/figures.json",
        f"{OUT}/verdicts.json",
        index=f"{OUT}/index.json",
    output:
        f"{OUT}/report.html",
    log:
        "results/logs/page.log",
    shell:
        "{PYTHON:q} scripts/page.py --index {input.index:q} --results {OUT:q} --output {output:q}"
        " 2>&1 | tee {log:q}"
