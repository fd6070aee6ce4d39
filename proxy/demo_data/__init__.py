"""The recorded exchanges of the demo."""
