"""The shipped teacher: a U-Net that sees time, trained on endless generated hearts and exact masks.

    python main.py --config=configs/teacher.py --stage=train          most of an hour on two cores
    python main.py --config=configs/teacher.py:smoke --stage=train    some minutes, to see it run

`--stage=export` then writes the weights' file. Same jobs as the student's (`configs/synthetic.py`),
with other settings: nothing is prepared and no teacher labels anything, for the target is the
generator's own mask of five structures. Every step sees other hearts, of each one moment: the
network outlines one frame, which in two of five windows is end-diastole or end-systole, and is
shown four around it; only these five are made.
"""

import ml_collections

from configs import synthetic
from echodfkd_jax.synthesis import STRUCTURES


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Returns the configuration.

    Args:
        arg: "" or "smoke".

    Raises:
        ValueError: another `arg`.
    """
    if arg not in ("", "smoke"):
        raise ValueError(f"mode {arg!r} is unknown; write :smoke, or nothing")
    config = synthetic.get_config(arg)
    config.workdir = f"runs/teacher_{arg}" if arg else "runs/teacher"
    config.structures = STRUCTURES
    config.dataset.num_validation = 128
    config.teacher.name = "none"
    fields = {"name": "unet", "channels": (16, 32, 64, 128), "context": (-8, -4, 4, 8)}
    fields |= {"subsampling": 2, "dtype": "float32", "remat": False}
    config.model = ml_collections.ConfigDict(fields)
    config.input.update(source="generator", target="reference", window_frames=17)
    config.input.phase_windows = 0.4
    config.augment.update(gain=0.5, gamma=0.7, veil=0.4, speckle=0.35, blur_px=1.4)
    config.augment.update(shift=0.06, rotation_degrees=12.0, scale=0.3, still=0.06)
    config.train.update(batch_size=32, num_epochs=18, loss="bce_dice_area", learning_rate=2e-3)
    config.train.update(
        schedule="cosine", other_structures=0.4, warmup_steps=80, clip_norm=1.0, patience=0
    )
    config.train.update(steps_per_epoch=100, image_every_epochs=6, log_every_steps=20)
    if arg == "smoke":
        config.dataset.num_validation = 4
        config.train.update(batch_size=2, num_epochs=2, steps_per_epoch=4, warmup_steps=1)
    return config
