"""Datasets: the registry of what there is, fetching with verification, preparation into common arrays."""
