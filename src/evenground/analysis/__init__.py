"""From run folders to tables: reading, alignment, resampling, statistics. No drawing happens here."""
