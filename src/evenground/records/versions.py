"""Versions that several modules name."""

# Raised when a reader would have to treat older indexes differently.
INDEX = 4
# In the keys of runs: raised when other events are required of an engine, or other values of them.
PROTOCOL = 1
