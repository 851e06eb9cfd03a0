"""Locked Python environments in the cache. Standard library only: it builds the first of them."""
