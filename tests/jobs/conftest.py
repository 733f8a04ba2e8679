"""What several tests of this folder share."""

import pytest

from echodfkd_jax.jobs import prepare
from tests.datasets import stand_ins
from tests.jobs import made_up_run, served


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where a prepared data set of the stand-ins' clips is, as `made_up_run.config` names it."""
    made = made_up_run.config(tmp_path_factory.mktemp("data_set"))
    with pytest.MonkeyPatch.context() as patch:
        stand_ins.use(patch, stand_ins.CountingTeacher())
        prepare.run(made)
    return made.dataset.data_dir


@pytest.fixture(scope="session")
def clip_files(tmp_path_factory):
    """Three clips."""
    return served.write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """Where the page is."""
    with served.running(tmp_path_factory.mktemp("serve")) as address:
        yield address


@pytest.fixture
def page(address):
    """The page in a browser."""
    with served.shown(address) as page:
        yield page
