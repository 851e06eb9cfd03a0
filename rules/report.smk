"""What `snakemake --report` shows beside the workflow: the page, verdicts and tables, figures with their captions."""

report: "report/workflow.rst"


def shown_in_report():
    """The files of the report, when one is asked for; before that nothing depends on them."""
    if not any(word.split("=")[0] == "--report" for word in sys.argv):
        return []
    listed = Path(OUT, "figures", "figures.json")
    figures = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else []
    # The one thing that Snakemake hands to the template of a caption beside wildcards.
    config["figures"] = {figure["name"]: re.sub(r"([\\`*_|<>])", r"\\\1", figure["caption"]) for figure in figures}
    titles = {figure["name"]: figure["title"] for figure in figures}
    # Paths of captions start at the file whose rule takes them: the Snakefile.
    page = report(f"{OUT}/report.html", category="Report", labels={"what": "verdicts, tables, figures, runs"})
    tables = report(f"{OUT}/tables", patterns=["{name}.csv"], category="Tables", labels={"table": "{name}"})
    drawn = report(
        f"{OUT}/figures",
        patterns=["{name}.svg"],
        caption="rules/report/figure.rst",
        category="Figures",
        labels=lambda wildcards: {"figure": titles.get(wildcards.name, wildcards.name)},
    )
    return [page, tables, drawn]
