"""Data-free distillation from the built-in generator: no clip, no label, no account needed.

    python main.py --config=configs/synthetic.py             all stages, about 13 minutes on 2 cores
    python main.py --config=configs/synthetic.py:smoke       the same in less than two minutes
    python main.py --config=configs/synthetic.py:paper       the published recipe's size; a GPU

Any field can be set on the command line, for example `--config.train.learning_rate=3e-4`, and one
stage run alone with `--stage=prepare`, `train`, `evaluate` or `report`. The same command again
continues a run that was cut short and skips what is done. Results are in `config.workdir`; what to
expect is in docs/model_card.md. All fields: `echodfkd_jax/settings/`, or `main.py --help=config`.
"""

import ml_collections

from echodfkd_jax.settings import default_config

MODES = ("", "smoke", "paper")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Returns the configuration.

    Args:
        arg: what follows the colon in `--config=configs/synthetic.py:arg`; one of `MODES`.

    Raises:
        ValueError: `arg` is not one of `MODES`.
    """
    if arg not in MODES:
        raise ValueError(f"mode {arg!r} is unknown; write :smoke, :paper, or nothing")
    config = default_config()
    config.workdir = f"runs/synthetic_{arg}" if arg else "runs/synthetic"
    if arg == "paper":
        # As many clips and frames as EchoNet-Synthetic; the data set takes about 48 GB of disk.
        config.dataset.name = "synthetic_paper"
        config.dataset.update(num_train=7465, num_validation=1288, num_test=1277, num_frames=192)
        config.input.update(num_threads=16, cache_gib=48.0)
        return config
    # A student that learns in minutes what the published one learns in hours.
    config.model.update(layers=1, normalise=True, skips=True, burn_in_frames=3, subsampling=2)
    config.augment.update(gain=0.5, gamma=0.5, speckle=0.5, blur_px=2.0)
    config.train.update(batch_size=4, num_epochs=7, learning_rate=3e-3, schedule="cosine")
    config.train.update(warmup_steps=20, clip_norm=1.0, log_every_steps=10)
    config.eval.bootstrap_samples = 1000
    if arg == "smoke":  # Every stage and every file, with numbers that mean nothing.
        config.dataset.name = "synthetic_smoke"
        config.dataset.update(num_train=8, num_validation=4, num_test=4, num_frames=32)
        config.model.update(blocks=2, subsampling=4)
        config.input.window_frames = 8
        config.train.update(num_epochs=2, warmup_steps=1, log_every_steps=1, image_every_epochs=1)
        config.eval.bootstrap_samples = 100
        config.report.num_clips = 1
    return config
