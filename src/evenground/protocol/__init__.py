"""The contract between engine and pipeline (docs/protocol.md): the parity test."""
