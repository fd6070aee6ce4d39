"""The pure heart: value types and the exchange state machine. Imports nothing of ours, does no I/O."""
