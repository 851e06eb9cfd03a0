"""What surrounds a training's engine and differs between machines, and what the engine used of it."""
