"""Rebuilds the organism's models from its closed world; an extra, never imported when serving."""
