"""What an engine and the pipeline say to each other: docs/protocol.md as a schema, a validator, a parity test."""
