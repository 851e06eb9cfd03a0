"""`python -m evenground.sidecar`."""

from evenground.sidecar.cli import main

main()
