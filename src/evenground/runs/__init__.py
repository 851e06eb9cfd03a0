"""Runs: which are wanted, under which key, how one is trained, and the index of them all."""
