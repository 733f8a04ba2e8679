"""Training: losses, augmentation, input, step, loop and parallelism."""
