"""The pure core of evenground: datasets, runs, sidecar, analysis and report."""

__version__ = "0.1.0"
