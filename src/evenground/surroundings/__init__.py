"""What lay around a training's engine that is not the same on every machine, and what of it it used."""
