"""Claims about recorded runs: what is claimed, how it is estimated, and the verdict on it."""
