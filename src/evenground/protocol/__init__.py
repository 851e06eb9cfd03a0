"""What engine and pipeline say to each other: docs/protocol.md as schema, validator, parity test."""
