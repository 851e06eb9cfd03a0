"""The formats of datasets, a module each; `read` there makes the arrays of an entry."""
