"""Makes the tfds packages importable by the names that tfds gives them."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[2] / "data"))
