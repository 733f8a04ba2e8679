"""A generator of clips of one's own: a small latent video model, learnt from any clip source.

    python main.py --config=configs/diffusion.py             prepare, train, generate
    python main.py --config=configs/diffusion.py:smoke       the same stages, to see them run

By default it learns from clips of the built-in generator; `--config.dataset.name=folder` with
`--config.dataset.manual_dir=MY_CLIPS` takes yours. It learns a frame auto-encoder and, on its
latents, clips of one second with their ejection fraction. The clips of `--stage=generate` are in
`<workdir>/generated`, in the EchoNet layout, and so a clip source for everything else:

    python main.py --config=configs/synthetic.py --config.dataset.name=folder \
        --config.dataset.manual_dir=runs/diffusion/generated
"""

import ml_collections

from echodfkd_jax.settings import default_config

MODES = ("", "smoke")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Returns the configuration.

    Args:
        arg: what follows the colon in `--config=configs/diffusion.py:arg`; one of `MODES`.

    Raises:
        ValueError: `arg` is not one of `MODES`.
    """
    if arg not in MODES:
        raise ValueError(f"mode {arg!r} is unknown; write :smoke, or nothing")
    config = default_config()
    config.workdir = f"runs/diffusion_{arg}" if arg else "runs/diffusion"
    config.dataset.update(num_train=800, num_validation=80, num_test=100)
    config.teacher = ml_collections.ConfigDict({"name": "none"})
    config.model = ml_collections.ConfigDict(
        {
            "name": "latent_video",
            "widths": (8, 16, 32, 64),
            "latent_channels": 4,
            "video_widths": (32, 48, 96),
            "attention": (False, True, True),
            "heads": (2, 4, 8),
            "layers": 1,
            "groups": 4,
        }
    )
    # A window is a second, and so has a whole beat.
    config.input.window_frames = 16
    config.generator.fps = 16.0
    config.train.update(batch_size=8, num_epochs=26, learning_rate=1e-3, schedule="cosine")
    config.train.update(warmup_steps=100, clip_norm=1.0, patience=0)
    config.generate.update(num_clips=100, num_frames=32)
    if arg == "smoke":  # Every stage and every file; the clips look like nothing.
        config.dataset.name = "synthetic_smoke"
        config.dataset.update(num_train=8, num_validation=4, num_test=4, num_frames=32)
        config.model.update(widths=(4, 4, 4, 4), groups=2)
        config.model.update(video_widths=(4,), attention=(False,), heads=(1,))
        config.input.window_frames = 4
        config.train.update(batch_size=2, num_epochs=2, warmup_steps=1, log_every_steps=1)
        config.train.image_every_epochs = 1
        config.generate.update(num_clips=3, num_frames=6, steps=2, batch_size=2)
    return config
