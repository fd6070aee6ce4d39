"""Rebuilds detectors/models from data. Needs the `training` extra; never imported when serving."""
