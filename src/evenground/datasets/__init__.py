"""Datasets: the registry, verified downloads, and preparation into common arrays."""
