"""What surrounds a training's engine and differs between machines, and what of it was used."""
