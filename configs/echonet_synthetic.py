r"""EchoDFKD on synthetic clips: a student that has seen no real frame and no human label.

Clips are those of EchoNet-Synthetic (Reynaud et al., arXiv 2406.00808), masks the published
teacher's; judged on the test clips of EchoNet-Dynamic. From the downloads (dynamic.zip of
EchoNet-Synthetic, EchoNet-Dynamic.zip, deeplabv3_resnet50_random.pt) to the numbers:

    unzip dynamic.zip -d echonet_synthetic
    unzip EchoNet-Dynamic.zip -d echonet
    for stage in prepare train evaluate; do python main.py --config=configs/echonet_synthetic.py \
        --stage=$stage --config.dataset.manual_dir=echonet_synthetic \
        --config.eval.clips_dir=echonet --config.teacher.weights=deeplabv3_resnet50_random.pt; done

Without `config.eval.clips_dir` the test split of EchoNet-Synthetic is taken, where the teacher is
the only reference. Sizes, sub-sampling, the sweep and precomputed masks: as in
`configs/echonet_dynamic.py`. Numbers: `runs/echonet_synthetic/evaluation/`.

The recipe, and what the paper reports on the test clips of EchoNet-Dynamic: as in
`configs/echonet_dynamic.py`.
"""

import ml_collections

from configs import echonet_dynamic


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Returns the configuration.

    Args:
        arg: there are no modes.

    Raises:
        ValueError: `arg` is not empty.
    """
    config = echonet_dynamic.get_config(arg)
    config.workdir = "runs/echonet_synthetic"
    config.dataset.name = "echonet_synthetic"
    return config
