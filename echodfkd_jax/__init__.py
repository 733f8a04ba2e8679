"""Data-free knowledge distillation for cardiac ultrasound segmentation, in JAX."""
