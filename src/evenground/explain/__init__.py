"""Why a training waits: an extra one under tracers, and what its threads did in idle windows."""
