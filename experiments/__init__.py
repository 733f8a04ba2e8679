"""What was tried on quality; docs/experiments.md has what came of it."""
