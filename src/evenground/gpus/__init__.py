"""The machine's graphics cards: their description, the choice of one, and its record."""
