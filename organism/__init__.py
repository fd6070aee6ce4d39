"""A small language model with known mis-routings: its closed world, its training data, its oracle and the models themselves."""
