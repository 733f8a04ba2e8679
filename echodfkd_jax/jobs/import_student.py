r"""`--stage=import_student`: a student of the published PyTorch code becomes a run.

    python main.py --config=configs/echonet_dynamic.py --stage=import_student \
        --config.import_student.file=student.ckpt --config.workdir=runs/published

The run can be evaluated, trained further, used as a teacher and exported like any other. Its size
is read from the file.
"""

import jax
import jax.numpy as jnp
import ml_collections

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_checkpoint import read_state_dict
from echodfkd_jax.interop.torch_student import from_torch, size_of
from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.runs import checkpoints as checkpoint_files
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.checkpoints import Checkpoints
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.settings import TrainSettings
from echodfkd_jax.training.state import (
    make_optimizer,
    make_schedule,
    num_weights,
    state_of,
    to_tree,
)


def run(config: ml_collections.ConfigDict) -> None:
    """Writes `config.json` and a checkpoint at step 0 into `config.workdir`.

    Args:
        config: `config.import_student.file` is the checkpoint; the rest of the configuration
            becomes the run's, with the size of the file's student and subsampling 1.

    Raises:
        UserError: the file is missing, damaged or no student's, or there is a run in the folder.
    """
    file, workdir = config.import_student.file, files.path_of(config.workdir)
    if not file:
        raise UserError("config.import_student.file is empty; name the checkpoint to import")
    if run_config.path(workdir).exists() or checkpoint_files.all_steps(workdir):
        raise UserError(f"config.workdir={workdir} has a run already; set another config.workdir")
    state_dict = read_state_dict(file)
    try:
        size = size_of(state_dict)
        variables = from_torch(state_dict, **size)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error

    made = ml_collections.ConfigDict(config.to_dict())
    made.structures = LV_ALONE  # Others the published students do not know.
    made.model = ml_collections.ConfigDict({"name": "convlstm", **size, "subsampling": 1})
    settings = TrainSettings.of(made.train)
    # Steps that a schedule ends after matter only when the run is trained further.
    schedule = make_schedule(settings, settings.num_epochs * max(settings.steps_per_epoch, 1))
    state = state_of(jax.tree.map(jnp.asarray, variables), make_optimizer(settings, schedule))
    run_config.save(made)
    checkpoints = Checkpoints(workdir, keep_latest=1)
    checkpoints.save(to_tree(state), Progress())
    checkpoints.close()
    print(
        f"imported {file}: {size['blocks']} blocks of {size['layers']} layers, {size['filters']} "
        f"filters, {num_weights(state):,} weights"
    )
    print(f"  run: {workdir}; evaluate it with --stage=evaluate --config.workdir={workdir}")
