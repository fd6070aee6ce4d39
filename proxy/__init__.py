"""The gateway: the only folder that talks HTTP."""
