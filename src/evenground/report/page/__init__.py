"""The report: one HTML file that holds verdicts, tables, figures and runs, and needs nothing beside it."""
