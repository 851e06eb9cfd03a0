"""The graphics cards of a machine: what they are, which one a training gets, and what is recorded of it."""
