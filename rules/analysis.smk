"""From the index of a part to its normalised timelines, tables, verdicts, figures and page."""


rule normalise:
    """The runs' time series on one time grid, and the measures that claims are judged by."""
    input:
        modules(*ANALYSIS),
        "results/{part}/made/normalise.again.json",
        index="results/{part}/index.json",
    output:
        expand(
            "results/{{part}}/normalised/{name}.csv",
            name=["timelines", "mean", "phases", "missing", "by_phase", "conditions", "idle", "memory"]
            + ["energy", "measures"],
        ),
        made="results/{part}/made/normalise.json",
    log:
        "results/logs/normalise/{part}.log",
    shell:
        r"""
        {PYTHON:q} scripts/normalise.py \
            --index {input.index:q} \
            --output-dir results/{wildcards.part}/normalised \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule tables:
    """Every table but those of the verdicts."""
    input:
        modules(*ANALYSIS),
        "results/{part}/made/tables.again.json",
        index="results/{part}/index.json",
        mean="results/{part}/normalised/mean.csv",
    output:
        expand(
            "results/{{part}}/tables/{name}.{form}",
            name=["training_time", "time_ratio", "blocks", "resources", "energy", "accuracy", "runs", "calibration"]
            + ["quality", "idle_windows", "memory_after", "lines_of_code"],
            form=["csv", "md"],
        ),
        metrics="results/{part}/metrics.json",
        made="results/{part}/made/tables.json",
    log:
        "results/logs/tables/{part}.log",
    shell:
        r"""
        {PYTHON:q} scripts/tables.py \
            --index {input.index:q} \
            --normalised results/{wildcards.part}/normalised \
            --output-dir results/{wildcards.part}/tables \
            --metrics {output.metrics:q} \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule verdicts:
    """Every claim judged by the finished runs."""
    input:
        modules(*ANALYSIS, "claims"),
        "results/{part}/made/verdicts.again.json",
        claims="claims.yaml",
        published="data/published/thesis-2022.csv",
        index="results/{part}/index.json",
        measures="results/{part}/normalised/measures.csv",
        quality="results/{part}/tables/quality.csv",
    output:
        expand("results/{{part}}/tables/{name}.{form}", name=["verdicts", "arithmetic"], form=["csv", "md"]),
        record="results/{part}/verdicts.json",
        made="results/{part}/made/verdicts.json",
    log:
        "results/logs/verdicts/{part}.log",
    shell:
        r"""
        {PYTHON:q} scripts/verdicts.py \
            --index {input.index:q} \
            --normalised results/{wildcards.part}/normalised \
            --output-dir results/{wildcards.part}/tables \
            --record {output.record:q} \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule draw:
    """The figures, and their list with titles and captions."""
    input:
        modules(*ANALYSIS, "report"),
        "results/{part}/made/draw.again.json",
        index="results/{part}/index.json",
        mean="results/{part}/normalised/mean.csv",
        times="results/{part}/tables/training_time.csv",
    output:
        "results/{part}/figures/figures.json",
        made="results/{part}/made/draw.json",
    log:
        "results/logs/draw/{part}.log",
    shell:
        r"""
        {PYTHON:q} scripts/figures.py \
            --index {input.index:q} \
            --normalised results/{wildcards.part}/normalised \
            --tables results/{wildcards.part}/tables \
            --output-dir results/{wildcards.part}/figures \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule page:
    """The report: verdicts, tables and figures in one self-contained file."""
    input:
        modules(*ANALYSIS, "report"),
        files("src/evenground/report/page/page.*"),
        "results/{part}/made/page.again.json",
        "results/{part}/tables/runs.csv",
        "results/{part}/figures/figures.json",
        "results/{part}/verdicts.json",
        index="results/{part}/index.json",
    output:
        page="results/{part}/report.html",
        made="results/{part}/made/page.json",
    log:
        "results/logs/page/{part}.log",
    shell:
        r"""
        {PYTHON:q} scripts/page.py \
            --index {input.index:q} \
            --results results/{wildcards.part} \
            --output {output.page:q} \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """
