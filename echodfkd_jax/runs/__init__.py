"""A run folder: its configuration, checkpoints, progress and curves."""
