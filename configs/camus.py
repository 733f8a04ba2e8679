r"""A teacher of three structures from the outlines of readers: CAMUS, half a beat of 500 patients.

Leclerc et al., IEEE TMI 2019; CC BY-NC-SA 4.0: what was trained on it may not be used for
commerce, and nothing of it is shipped with the project. It needs `pip install '.[nifti]'`.

    python main.py --config=configs/camus.py --config.dataset.manual_dir=CAMUS_public
    python main.py --config=configs/camus.py:smoke ...                  the same in a minute or two

prepares the data set (no teacher labels it), trains a U-Net that sees every frame by itself on the
frames that are outlined, and evaluates it on the patients of `subgroup_testing.txt`, per structure
at ED and ES. The whole download was not at hand, so its time is not known; stills of 310 patients
gave a Dice of 0.93 at ED and 0.89 at ES on 100 others (`lv`; docs/camus.md has the rest).

Two-chamber views: `--config.dataset.view=2CH`. How a student learns from this teacher on generated
clips, and how any student is judged on CAMUS, is in docs/camus.md.
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
    config.workdir = f"runs/camus_{arg}" if arg else "runs/camus"
    config.structures = ("lv", "lv_myocardium", "la")
    config.dataset.update(name="camus", min_frames=2)
    config.teacher.name = "none"
    fields = {"name": "unet", "channels": (16, 32, 64, 128), "context": (), "subsampling": 2}
    config.model = ml_collections.ConfigDict({**fields, "dtype": "float32", "remat": False})
    # Frames that nobody outlined do not count; a window has at least one that somebody did.
    config.input.update(target="tracings", window_frames=4)
    config.augment.update(gain=0.3, gamma=0.4, veil=0.2, speckle=0.3, blur_px=1.0)
    config.augment.update(shift=0.05, rotation_degrees=10.0, scale=0.15)
    config.train.update(batch_size=8, num_epochs=30, loss="bce_dice", learning_rate=2e-3)
    config.train.update(warmup_steps=50, patience=0, log_every_steps=50, image_every_epochs=10)
    if arg == "smoke":
        config.model.channels = (4, 8)
        config.train.update(batch_size=2, num_epochs=2, warmup_steps=1, log_every_steps=1)
    return config
