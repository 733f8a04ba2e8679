"""What `tfds build data/echo_clips` looks for; the builder is part of the package."""

from echodfkd_jax.datasets import builder


class Builder(builder.Builder):
    """Under the name by which tfds finds it."""
