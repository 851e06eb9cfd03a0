"""The parts of an experiment of several machine classes or values side by side; nothing is averaged over them."""

if len(STUDY.parts) > 1:

    rule indexes:
        input:
            of_parts("index.json"),
            str(again_of(STUDY.results, "indexes")),
            parts=f"{OUT}/parts.json",
        output:
            index=f"{OUT}/index.json",
            made=str(record_of(STUDY.results, "indexes")),
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
            code(*ANALYSIS, "claims", "report", "overview"),
            files("src/evenground/report/page/page.*", "src/evenground/overview/overview.*"),
            of_parts("tables/runs.csv"),
            of_parts("figures/figures.json"),
            of_parts("verdicts.json"),
            of_parts("report.html"),
            of_parts("metrics.json"),
            f"{OUT}/index.json",
            str(again_of(STUDY.results, "overview")),
            parts=f"{OUT}/parts.json",
        output:
            f"{OUT}/metrics.json",
            f"{OUT}/verdicts.json",
            f"{OUT}/figures/figures.json",
            f"{OUT}/report.html",
            expand(OUT + "/tables/{name}.csv", name=["runs", "training_time", "verdicts", "scaling"]),
            made=str(record_of(STUDY.results, "overview")),
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
