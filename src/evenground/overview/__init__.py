"""The parts of an experiment beside each other. Nothing here is averaged over parts."""
