"""What `snakemake --report` adds to the workflow: the page, verdicts and tables, figures with captions."""

from evenground.workflow.shown import figures_in, is_shown

report: "report/workflow.rst"

# Nothing depends on them without `--report`.
SHOWN = []
if is_shown(sys.argv):
    FIGURES = {figure["name"]: figure for figure in figures_in(Path(OUT))}
    # The configuration and the wildcards are all that Snakemake passes to the template of a caption.
    config["figures"] = {name: figure["caption"] for name, figure in FIGURES.items()}
    PAGE = report(f"{OUT}/report.html", category="Report", labels={"what": "verdicts, tables, figures, runs"})
    TABLES = report(f"{OUT}/tables", patterns=["{name}.csv"], category="Tables", labels={"table": "{name}"})
    DRAWN = report(
        f"{OUT}/figures",
        patterns=["{name}.svg"],
        # Relative to the file of the rule that uses it: the Snakefile.
        caption="rules/report/figure.rst",
        category="Figures",
        labels=lambda wildcards: {"figure": FIGURES[wildcards.name]["title"]},
    )
    SHOWN = [PAGE, TABLES, DRAWN]
