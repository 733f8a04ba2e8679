"""The `echo_clips` data set: clips with a teacher's soft masks."""

import importlib.util
import pathlib
import sys

# `tfds build` runs from anywhere and puts only the folder above this one on the path.
if importlib.util.find_spec("echodfkd_jax") is None:
    sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
