"""EchoDFKD on real clips: the published teacher's masks of EchoNet-Dynamic, learned by a student.

From the downloads (EchoNet-Dynamic.zip, deeplabv3_resnet50_random.pt) to the numbers:

    unzip EchoNet-Dynamic.zip -d echonet && mv deeplabv3_resnet50_random.pt echonet/
    python main.py --config=configs/echonet_dynamic.py --config.dataset.manual_dir=echonet

labels 10,030 clips on the accelerator (an interrupted build goes on), trains on 7,465 of them, and
evaluates on the 1,277 test clips against the human tracings and against the teacher. Numbers
are in `runs/echonet_dynamic/evaluation/test/metrics.json`, `protocols` > `paper` and `echonet`;
what became of every clip is in the data set's `prepare_report.json`.

    --config.input.subsample=2          trains on 56x56 as the released script does
    --config.model.blocks=4 --config.model.layers=2     another of the sixteen sizes
    --stage=sweep                       all sixteen, with the figure of Dice against weights
    --config.teacher.name=precomputed --config.teacher.weights=MASKS     masks made before

The recipe (Petit et al., arXiv 2409.07566): Adam 1e-3, batches of 32 windows of 25 consecutive
frames, at most 350 epochs, stop after 10 without a better validation loss. The paper reports, as
mean Dice at the traced ED and ES frames with masks cut at 80 of 255 (read off the project's own
figure, +-0.0005): size 11 (5,701 weights) 0.784, size 33 (611,185) 0.908, size 42 (1,596,937)
0.911, the teacher (39,633,729) 0.922. All sixteen are in `echodfkd_jax/evaluation/frontier.py`.
"""

import ml_collections

from echodfkd_jax.settings import default_config


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Returns the configuration.

    Args:
        arg: there are no modes.

    Raises:
        ValueError: `arg` is not empty.
    """
    if arg:
        raise ValueError(f"mode {arg!r} is unknown; this configuration has none")
    config = default_config()  # The published recipe.
    config.workdir = "runs/echonet_dynamic"
    config.dataset.name = "echonet_dynamic"
    # The weights are looked for in the current folder, then in manual_dir.
    config.teacher.update(name="deeplabv3", weights="deeplabv3_resnet50_random.pt")
    config.input.update(num_threads=16, cache_gib=48.0)
    config.student.refine = False  # Scored as published.
    return config
