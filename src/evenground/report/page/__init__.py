"""The report: one self-contained HTML file with verdicts, tables, figures and runs."""
