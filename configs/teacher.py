"""The shipped teacher: a per-frame U-Net trained on generated clips and their exact masks.

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
    config.model = ml_collections.ConfigDict()
    config.model.name = "unet"
    config.model.channels = (16, 32, 64, 128)
    config.model.stride = 2
    config.input.source = "generator"
    config.input.target = "reference"
    # Few frames of many clips: frames of one clip teach a per-frame network little that is new.
    config.input.window_frames = 2
    config.dataset.num_validation = 64
    config.train.update(
        batch_size=32,
        num_epochs=8,
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
