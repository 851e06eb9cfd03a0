"""The machine's graphics cards: what they are, which one a training gets, what is recorded of it."""
