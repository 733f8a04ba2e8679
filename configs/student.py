"""The shipped students, distilled from the shipped teacher on generated clips.

    python main.py --config=configs/student.py:best --stage=prepare   1,024 hearts, 10 minutes
    python main.py --config=configs/student.py:best --stage=train     four blocks, shipped as `best`
    python main.py --config=configs/student.py:small --stage=train    two blocks, shipped as `small`
    python main.py --config=configs/student.py:smoke --stage=train    some minutes, to see it run

Both learn five structures from the same data set; half an hour (best) and a quarter (small) on two
cores, minutes on an accelerator. `--stage=export` then writes the weights' file.
"""

import ml_collections

from configs import synthetic
from echodfkd_jax.synthesis import STRUCTURES

BLOCKS = {"best": 4, "small": 2, "smoke": 2}


def get_config(arg: str = "best") -> ml_collections.ConfigDict:
    """Returns the configuration.

    Args:
        arg: "best", "small" or "smoke".

    Raises:
        ValueError: another `arg`.
    """
    if arg not in BLOCKS:
        raise ValueError(f"mode {arg!r} is unknown; write :best, :small, or :smoke")
    config = synthetic.get_config("smoke" if arg == "smoke" else "")
    config.workdir = f"runs/student_{arg}"
    config.structures = STRUCTURES
    config.model.update(blocks=BLOCKS[arg], dtype="float32")
    config.augment.update(gamma=0.6, veil=0.35, blur_px=1.4, still=0.06)
    config.augment.update(shift=0.05, rotation_degrees=10.0, scale=0.25)
    if arg != "smoke":
        config.dataset.update(num_train=1024, num_validation=48, num_test=64, num_frames=48)
        config.input.update(phase_windows=0.3, cache_gib=8.0)
        config.train.update(batch_size=8, num_epochs=5, loss="bce_dice_area", warmup_steps=50)
        config.train.other_structures = 0.4
        config.train.update(patience=0, log_every_steps=50, image_every_epochs=5)
    return config
