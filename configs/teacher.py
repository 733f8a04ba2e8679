"""The shipped teacher: a U-Net that sees time, trained on generated clips and exact masks.

    python main.py --config=configs/teacher.py --stage=train          two and a half minutes, H200
    python main.py --config=configs/teacher.py:smoke --stage=train    some minutes, to see it run

Expect a Dice of 0.943 against the exact masks on the validation clips after 2,500 steps of 32 clips
(seed 0); on two CPU cores the same takes hours. `--stage=export` then writes the weights' file.

Same job as the student's training (`configs/synthetic.py`), with other settings: clips are made on
the device, endlessly, so nothing has to be prepared, and the target is the generator's own mask.
"""

import ml_collections

from configs import synthetic


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
    fields = {"name": "unet", "channels": (16, 32, 64, 128), "context": 8, "subsampling": 2}
    config.model = ml_collections.ConfigDict({**fields, "dtype": "float32", "remat": False})
    config.input.source = "generator"
    config.input.target = "reference"
    config.input.window_frames = 24
    config.dataset.num_validation = 64
    config.augment.update(
        gain=0.5,
        gamma=0.6,
        veil=0.35,
        speckle=0.4,
        blur_px=1.2,
        shift=0.05,
        rotation_degrees=10.0,
        scale=0.25,
        max_stride=3,
        still=0.06,
    )
    config.train.update(
        batch_size=32,
        num_epochs=10,
        steps_per_epoch=250,
        loss="bce_dice",
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=50,
        clip_norm=1.0,
        patience=0,
        image_every_epochs=10,
        log_every_steps=50,
    )
    if arg == "smoke":
        config.dataset.num_validation = 4
        config.train.update(batch_size=2, num_epochs=2, steps_per_epoch=4, warmup_steps=1)
    return config
