"""From tables to figures. Nothing is computed here that a table does not hold."""
