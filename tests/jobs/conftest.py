"""What several tests of this folder share."""

import pytest

from echodfkd_jax.jobs import prepare
from tests.datasets import stand_ins
from tests.jobs import made_up_run


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where a prepared data set of the stand-ins' clips is, as `made_up_run.config` names it."""
    made = made_up_run.config(tmp_path_factory.mktemp("data_set"))
    with pytest.MonkeyPatch.context() as patch:
        stand_ins.use(patch, stand_ins.CountingTeacher())
        prepare.run(made)
    return made.dataset.data_dir
