"""The parts of an experiment of several machine classes or values side by side; nothing is averaged over them."""

if len(JOBS.planned.parts) > 1:

    rule indexes:
        input:
            JOBS.of_parts("index.json"),
            f"{OUT}/made/indexes.again.json",
            parts=f"{OUT}/parts.json",
        output:
            index=f"{OUT}/index.json",
            made=f"{OUT}/made/indexes.json",
        log:
            "results/logs/indexes.log",
        shell:
            r"""
            {PYTHON:q} scripts/indexes.py \
                --parts {input.parts:q} \
                --output {output.index:q} \
                --made {output.made:q} \
                --of {input:q} \
                2>&1 | tee {log:q}
            """

    rule overview:
        input:
            modules(*ANALYSIS, "claims", "report", "overview"),
            files("src/evenground/report/page/page.*", "src/evenground/overview/overview.*"),
            JOBS.of_parts("tables/runs.csv"),
            JOBS.of_parts("figures/figures.json"),
            JOBS.of_parts("verdicts.json"),
            JOBS.of_parts("report.html"),
            JOBS.of_parts("metrics.json"),
            f"{OUT}/index.json",
            f"{OUT}/made/overview.again.json",
            parts=f"{OUT}/parts.json",
        output:
            f"{OUT}/metrics.json",
            f"{OUT}/verdicts.json",
            f"{OUT}/figures/figures.json",
            f"{OUT}/report.html",
            expand(OUT + "/tables/{name}.csv", name=["runs", "training_time", "verdicts", "scaling"]),
            made=f"{OUT}/made/overview.json",
        log:
            "results/logs/overview.log",
        shell:
            r"""
            {PYTHON:q} scripts/overview.py \
                --parts {input.parts:q} \
                --output-dir {OUT:q} \
                --made {output.made:q} \
                --of {input:q} \
                2>&1 | tee {log:q}
            """
