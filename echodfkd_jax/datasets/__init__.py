"""Labelled clips as a tfds data set: what goes into one, its making and its reading."""
