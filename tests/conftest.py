"""Shared pytest set-up."""

from absl import flags

# Grain's worker processes read absl flags, which nobody parses under pytest.
flags.FLAGS.mark_as_parsed()
