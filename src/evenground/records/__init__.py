"""The project's file formats, each defined once: models that writers and readers share."""
