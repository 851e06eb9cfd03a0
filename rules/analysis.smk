"""From the index to normalised timelines, tables, verdicts, figures and the page."""

# A table is its rows, what its columns hold, and both for reading.
FORMS = ["csv", "json", "md"]


rule normalise:
    """The runs' time series on one time grid, and the measures that claims are judged by."""
    input:
        modules(*ANALYSIS),
        f"{OUT}/made/normalise.again.json",
        index=f"{OUT}/index.json",
    output:
        expand(
            OUT + "/normalised/{name}.csv",
            name=["trained", "use", "mean", "phases", "missing", "by_phase", "circumstances", "idle", "memory"]
            + ["energy", "measures"],
        ),
        made=f"{OUT}/made/normalise.json",
    log:
        "results/logs/normalise.log",
    shell:
        r"""
        {PYTHON:q} scripts/normalise.py \
            --index {input.index:q} \
            --output-dir {OUT}/normalised \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule tables:
    """Every table but those of the verdicts."""
    input:
        modules(*ANALYSIS),
        f"{OUT}/made/tables.again.json",
        index=f"{OUT}/index.json",
        mean=f"{OUT}/normalised/mean.csv",
    output:
        expand(
            OUT + "/tables/{name}.{form}",
            name=["answer", "summary", "ratios", "across", "blocks", "resources", "energy", "memory_after"]
            + ["idle_windows", "quality", "runs", "lines_of_code", "calibration"],
            form=FORMS,
        ),
        metrics=f"{OUT}/metrics.json",
        made=f"{OUT}/made/tables.json",
    log:
        "results/logs/tables.log",
    shell:
        r"""
        {PYTHON:q} scripts/tables.py \
            --index {input.index:q} \
            --normalised {OUT}/normalised \
            --output-dir {OUT}/tables \
            --metrics {output.metrics:q} \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule verdicts:
    """Every claim judged by the finished runs."""
    input:
        modules(*ANALYSIS, "claims"),
        f"{OUT}/made/verdicts.again.json",
        claims="claims.yaml",
        published="data/published/thesis-2022.csv",
        index=f"{OUT}/index.json",
        measures=f"{OUT}/normalised/measures.csv",
        quality=f"{OUT}/tables/quality.csv",
    output:
        expand(OUT + "/tables/{name}.{form}", name=["verdicts", "arithmetic", "agreement"], form=FORMS),
        record=f"{OUT}/verdicts.json",
        made=f"{OUT}/made/verdicts.json",
    log:
        "results/logs/verdicts.log",
    shell:
        r"""
        {PYTHON:q} scripts/verdicts.py \
            --index {input.index:q} \
            --normalised {OUT}/normalised \
            --output-dir {OUT}/tables \
            --record {output.record:q} \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule draw:
    """The figures, and their list with titles and captions."""
    input:
        modules(*ANALYSIS, "report"),
        f"{OUT}/made/draw.again.json",
        index=f"{OUT}/index.json",
        mean=f"{OUT}/normalised/mean.csv",
        summary=f"{OUT}/tables/summary.csv",
    output:
        f"{OUT}/figures/figures.json",
        made=f"{OUT}/made/draw.json",
    log:
        "results/logs/draw.log",
    shell:
        r"""
        {PYTHON:q} scripts/figures.py \
            --index {input.index:q} \
            --normalised {OUT}/normalised \
            --tables {OUT}/tables \
            --output-dir {OUT}/figures \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule page:
    """The report: verdicts, tables and figures in one self-contained file."""
    input:
        modules(*ANALYSIS, "report"),
        files("src/evenground/report/page/page.*"),
        f"{OUT}/made/page.again.json",
        f"{OUT}/tables/runs.csv",
        f"{OUT}/figures/figures.json",
        f"{OUT}/verdicts.json",
        index=f"{OUT}/index.json",
    output:
        page=f"{OUT}/report.html",
        made=f"{OUT}/made/page.json",
    log:
        "results/logs/page.log",
    shell:
        r"""
        {PYTHON:q} scripts/page.py \
            --index {input.index:q} \
            --results {OUT} \
            --output {output.page:q} \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """
