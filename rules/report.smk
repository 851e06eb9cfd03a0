"""What `snakemake --report` adds to the workflow: the page, verdicts and tables, figures with captions."""

report: "report/workflow.rst"


def shown_in_report():
    """The files of the report; none without `--report`, so that nothing depends on them."""
    if not any(arg.split("=")[0] == "--report" for arg in sys.argv):
        return []
    listed = Path(OUT, "figures", "figures.json")
    figures = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else []
    titles = {figure["name"]: figure["title"] for figure in figures}
    # The configuration and the wildcards are all that Snakemake passes to the template of a caption.
    config["figures"] = {}
    for figure in figures:
        # Captions are plain text, their template is reStructuredText.
        config["figures"][figure["name"]] = re.sub(r"([\\`*_|<>])", r"\\\1", figure["caption"])
    page = report(f"{OUT}/report.html", category="Report", labels={"what": "verdicts, tables, figures, runs"})
    tables = report(f"{OUT}/tables", patterns=["{name}.csv"], category="Tables", labels={"table": "{name}"})
    drawn = report(
        f"{OUT}/figures",
        patterns=["{name}.svg"],
        # Relative to the file of the rule that uses it: the Snakefile.
        caption="rules/report/figure.rst",
        category="Figures",
        labels=lambda wildcards: {"figure": titles.get(wildcards.name, wildcards.name)},
    )
    return [page, tables, drawn]
