"""What a training run imports, for the processes that `stand_in_main.start` makes."""

import tensorboardX  # noqa: F401

from echodfkd_jax.jobs import evaluate, train  # noqa: F401
from tests.jobs import stand_in_main  # noqa: F401
