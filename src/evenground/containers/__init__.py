"""Container images: what decides one, how it is built, and how Apptainer runs it."""
