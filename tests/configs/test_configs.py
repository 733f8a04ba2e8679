import pytest

from configs import synthetic, teacher
from echodfkd_jax.distillation.models import build_model
from echodfkd_jax.distillation.settings import InputSettings, ParallelSettings, TrainSettings

CASES = [(synthetic, mode) for mode in synthetic.MODES] + [(teacher, ""), (teacher, "smoke")]


@pytest.mark.parametrize(("module", "mode"), CASES)
def test_every_mode_is_accepted_by_what_reads_it(module, mode):
    config = module.get_config(mode)
    TrainSettings(**config.train)
    InputSettings(**config.input)
    ParallelSettings(**config.parallel)
    build_model(**config.model)


def test_paper_mode_is_the_published_recipe():
    config = synthetic.get_config("paper")
    assert config.train.batch_size == 32
    assert config.train.learning_rate == 1e-3
    assert config.train.num_epochs == 350
    assert config.train.patience == 10
    assert config.input.window_frames == 25
    assert (config.dataset.num_train, config.dataset.num_validation) == (7465, 1288)
    assert config.dataset.num_test == 1277
    assert config.model.stride == 1


def test_every_mode_has_a_workdir_of_its_own():
    workdirs = [module.get_config(mode).workdir for module, mode in CASES]
    assert len(set(workdirs)) == len(workdirs)


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode 'smok' is unknown; write :smoke, :paper"):
        synthetic.get_config("smok")
