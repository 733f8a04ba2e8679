"""The shipped teacher: a U-Net that sees time, trained on generated clips and exact masks.

    python main.py --config=configs/teacher.py --stage=train          hours on 2 cores; use a GPU
    python main.py --config=configs/teacher.py:smoke --stage=train    a minute, to see it run

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
    fields = {"name": "unet", "channels": (16, 32, 64, 128), "context": 8, "stride": 2}
    config.model = ml_collections.ConfigDict({**fields, "dtype": "float32", "remat": False})
    config.input.source = "generator"
    config.input.target = "reference"
    config.input.window_frames = 16
    config.dataset.num_validation = 48
    config.augment.update(
        gain=0.5, gamma=0.6, speckle=0.4, blur_px=1.2, shift=0.05, rotation_degrees=10.0, scale=0.25
    )
    config.train.update(
        batch_size=8,
        num_epochs=16,
        steps_per_epoch=100,
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=50,
        clip_norm=1.0,
        patience=0,
    )
    if arg == "smoke":
        config.dataset.num_validation = 4
        config.train.update(batch_size=2, num_epochs=2, steps_per_epoch=4, warmup_steps=1)
    return config
