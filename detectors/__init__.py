"""Text to scores; knows nothing of policies or HTTP."""
