"""Made-up weights behind the golden numbers of the generators: one seeded generator per entry.

Every value depends on nothing but the network's name, the state dict's key and the shape.
"""

import zlib

import numpy as np

NORMS_THAT_END_A_BLOCK = {"siamese": "bn3.weight", "r2plus1d": "conv2.1.weight"}


def made_up_value(network: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One entry of a state dict.

    Args:
        network: "vae", "lidm", "lvdm", "diffecho", "siamese" or "r2plus1d".
        key: as PyTorch has it.
        shape: as PyTorch has it.
    """
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    seed = zlib.crc32(f"{network}:{key}".encode())
    x = np.random.default_rng(seed).standard_normal(shape)
    if network in NORMS_THAT_END_A_BLOCK:
        x = _of_torchvision(x, key, NORMS_THAT_END_A_BLOCK[network])
    else:
        x = _of_diffusers(x, key)
    return x.astype(np.float32)


def small_activations_factor(key: str) -> float:
    """What makes all activations in front of a normalisation so small that its epsilon shows."""
    module, kind = key.rsplit(".", 1)
    layer = module.split(".")[-1]
    if kind == "mix_factor" or "norm" in layer:
        return 1.0
    ends = ("to_out.0", "net.2", "time_pos_embed.linear_2")
    names = ("conv1", "conv2", "time_emb_proj", "proj_in", "proj_out", "conv_in")
    if layer in names or module.endswith(ends):
        return 3e-3
    if kind == "bias" and (layer == "conv_shortcut" or "samplers" in module):
        return 3e-3
    return 1.0


def _of_diffusers(x: np.ndarray, key: str) -> np.ndarray:
    if key.endswith("mix_factor"):
        return 0.5 + x
    if key.endswith("bias"):
        return 0.1 * x
    return 1 + 0.1 * x if x.ndim == 1 else x / np.sqrt(np.prod(x.shape[1:]))


def _of_torchvision(x: np.ndarray, key: str, last_norm: str) -> np.ndarray:
    if key.endswith("running_var"):
        return 1 + 0.1 * np.abs(x)
    if key.endswith(("running_mean", "bias")):
        return 0.1 * x
    if x.ndim == 1:
        return (0.25 if key.endswith(last_norm) else 1.0) * (1 + 0.1 * x)
    fan_in = np.prod(x.shape[1:])
    return 4 * x / np.sqrt(fan_in) if x.ndim == 2 else x * np.sqrt(2 / fan_in)
