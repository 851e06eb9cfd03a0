"""Known loads, what a sidecar saw of them, and how that is judged: `sidecar calibrate`."""
