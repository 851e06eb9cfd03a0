"""From the index to normalised timelines, tables and figures."""


rule normalise:
    input:
        code("analysis"),
        index="results/index.json",
    output:
        expand("results/normalised/{name}.csv", name=["timelines", "mean", "phases", "missing"]),
    log:
        "results/logs/normalise.log",
    shell:
        "{PYTHON:q} scripts/normalise.py --index {input.index:q} --output-dir results/normalised"
        " 2>&1 | tee {log:q}"


rule tables:
    input:
        code("analysis"),
        index="results/index.json",
        mean="results/normalised/mean.csv",
    output:
        expand(
            "results/tables/{name}.{form}",
            name=["training_time", "time_ratio", "resources", "accuracy", "runs", "calibration"],
            form=["csv", "md"],
        ),
    log:
        "results/logs/tables.log",
    shell:
        "{PYTHON:q} scripts/tables.py --index {input.index:q} --normalised results/normalised"
        " --output-dir results/tables 2>&1 | tee {log:q}"


rule draw:
    input:
        code("analysis", "report"),
        wanted_datasets,
        index="results/index.json",
        mean="results/normalised/mean.csv",
        times="results/tables/training_time.csv",
    output:
        "results/figures/figures.json",
    log:
        "results/logs/draw.log",
    shell:
        "{PYTHON:q} scripts/figures.py --index {input.index:q} --normalised results/normalised"
        " --tables results/tables --output-dir results/figures 2>&1 | tee {log:q}"
