"""The shipped students, distilled from the shipped teacher on endless generated clips.

    python main.py --config=configs/student.py:best --stage=train     four blocks, shipped as `best`
    python main.py --config=configs/student.py:small --stage=train    two blocks, shipped as `small`
    python main.py --config=configs/student.py:smoke --stage=train    some minutes, to see it run

Nothing has to be prepared: clips are made and labelled on the device, no two steps see the same
one. On an H200, compilation included, both at once take two and a quarter minutes: 1,000 steps of
32 clips, seed 0. Expect a Dice against the teacher of 0.956 (best) and 0.900 (small) on the
validation clips. On two CPU cores the same takes hours.
"""

import ml_collections

from configs import synthetic

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
    config.model.update(blocks=BLOCKS[arg], dtype="float32")
    config.input.source = "generator"
    config.dataset.num_validation = 64
    config.augment.update(gamma=0.6, veil=0.35, blur_px=1.2, max_stride=3, still=0.06)
    config.augment.update(shift=0.05, rotation_degrees=10.0, scale=0.25)
    config.train.update(batch_size=32, num_epochs=4, steps_per_epoch=250, loss="bce_dice")
    config.train.update(patience=0, log_every_steps=50, image_every_epochs=4)
    if arg == "smoke":
        config.dataset.num_validation = 4
        config.train.update(batch_size=2, num_epochs=2, steps_per_epoch=4, warmup_steps=1)
    return config
