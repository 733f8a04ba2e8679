import pytest

from configs import (
    camus,
    diffusion,
    echonet_dynamic,
    echonet_synthetic,
    student,
    synthetic,
    teacher,
)
from echodfkd_jax.datasets import recipe
from echodfkd_jax.networks.diffusion.latent_video import build_generator
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.settings import (
    AugmentSettings,
    GenerateSettings,
    GeneratorSettings,
    InputSettings,
    ParallelSettings,
    TrainSettings,
)

ECHONET = (echonet_dynamic, echonet_synthetic)
CASES = [(synthetic, mode) for mode in synthetic.MODES] + [(teacher, ""), (teacher, "smoke")]
CASES += [(student, mode) for mode in student.BLOCKS]
CASES += [(module, "") for module in ECHONET] + [(camus, ""), (camus, "smoke")]


@pytest.mark.parametrize(("module", "mode"), CASES)
def test_every_mode_is_accepted_by_what_reads_it(module, mode):
    config = module.get_config(mode)
    TrainSettings(**config.train)
    InputSettings(**config.input)
    ParallelSettings(**config.parallel)
    AugmentSettings(**config.augment)
    build_model(**config.model)


@pytest.mark.parametrize("mode", diffusion.MODES)
def test_the_generators_configuration_is_accepted_by_what_reads_it(mode):
    config = diffusion.get_config(mode)
    TrainSettings(**config.train)
    InputSettings(**config.input)
    GeneratorSettings(**config.generator)
    GenerateSettings(**config.generate)
    build_generator(**config.model)
    assert recipe.resolve(config.dataset.to_dict(), config.teacher.to_dict())


def test_paper_mode_is_the_published_recipe():
    config = synthetic.get_config("paper")
    assert config.train.batch_size == 32
    assert config.train.learning_rate == 1e-3
    assert config.train.num_epochs == 350
    assert config.train.patience == 10
    assert config.input.window_frames == 25
    assert (config.dataset.num_train, config.dataset.num_validation) == (7465, 1288)
    assert config.dataset.num_test == 1277
    assert config.model.subsampling == 1
    assert AugmentSettings(**config.augment) == AugmentSettings()  # All off.


@pytest.mark.parametrize("module", ECHONET)
def test_echonet_configurations_are_the_published_recipe(module):
    config = module.get_config()
    train = config.train
    assert (train.batch_size, train.num_epochs, train.patience) == (32, 350, 10)
    assert (train.learning_rate, train.schedule, train.clip_norm) == (1e-3, "constant", 0.0)
    assert (config.input.window_frames, config.input.subsample) == (25, 1)
    assert (config.model.filters, config.model.subsampling) == (12, 1)
    assert AugmentSettings(**config.augment) == AugmentSettings()  # All off.
    name, asked = recipe.resolve(config.dataset.to_dict(), config.teacher.to_dict())
    assert name == module.__name__.removeprefix("configs.")
    assert asked == recipe.REGISTERED[name]


@pytest.mark.parametrize("module", ECHONET)
def test_echonet_configurations_have_no_modes(module):
    with pytest.raises(ValueError, match="mode 'smoke' is unknown"):
        module.get_config("smoke")


def test_every_mode_has_a_workdir_of_its_own():
    workdirs = [module.get_config(mode).workdir for module, mode in CASES]
    assert len(set(workdirs)) == len(workdirs)


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode 'smok' is unknown; write :smoke, :paper"):
        synthetic.get_config("smok")
