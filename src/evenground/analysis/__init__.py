"""From run directories to tables: reading, alignment, resampling, statistics; no drawing."""
