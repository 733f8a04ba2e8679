"""Distillation: losses, input, train step, loop, parallelism and checkpoints."""
