"""What the judge says about masks and clips, from its embeddings: pure functions.

The definitions are those of EchoDFKD (Petit et al., arXiv 2409.07566) for erasure and phase, and of
EchoCLIP (Christensen et al., Nature Medicine 2024) for the ejection fraction.
"""

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int, UInt8

from echodfkd_jax.echoclip.judge import similarities

# Side of the square with which the authors meant to dilate the erased region.
DILATION_PX = 5
# EchoCLIP takes the median over this many of its 202 best-ranked prompts.
NUM_RANKS = 40


def erase(
    frames: UInt8[np.ndarray, "t h w"], masks: Bool[np.ndarray, "t h w"]
) -> UInt8[np.ndarray, "t h w"]:
    """The frames with the masked pixels painted black."""
    return np.where(masks, np.uint8(0), frames)


def dilate(
    masks: Bool[np.ndarray, "t h w"], size_px: int = DILATION_PX
) -> Bool[np.ndarray, "t h w"]:
    """Each mask grown by a square of odd side `size_px`; 1 changes nothing, empty stays empty."""
    square = np.ones((1, size_px, size_px), bool)
    return scipy.ndimage.binary_dilation(masks, square)


def erasure_score_as_released(
    erased: Float[np.ndarray, "t d"], texts: Float[np.ndarray, "3 d"]
) -> float:
    """How much the judge sees wall and nothing, and no ventricle, once the mask is painted black.

    Args:
        erased: embeddings of the frames with the mask painted black.
        texts: embeddings of wall, nothing and left ventricle.

    Returns:
        Mean over frames of sim(wall) + sim(nothing) - sim(left ventricle); higher is better. nan
        without frames.
    """
    return erasure_score_dilated(erased, erased, texts)


def erasure_score_dilated(
    erased: Float[np.ndarray, "t d"],
    erased_dilated: Float[np.ndarray, "t d"],
    texts: Float[np.ndarray, "3 d"],
) -> float:
    """The score as its authors meant it: the ventricle has to be gone with its margin.

    The wall is looked for where the mask alone is black; nothing and left ventricle where the
    dilated mask is, so that a mask that is a little small is not punished for a rim of cavity. The
    published script prepares the dilated frames and never uses them.

    Args:
        erased: embeddings of the frames with the mask painted black.
        erased_dilated: embeddings of the frames with the dilated mask painted black.
        texts: embeddings of wall, nothing and left ventricle.

    Returns:
        Mean over frames, higher is better. nan without frames.
    """
    if len(erased) == 0:
        return float("nan")
    wall = similarities(erased, texts)[:, 0]
    _, nothing, ventricle = similarities(erased_dilated, texts).T
    return float(np.mean(wall + nothing - ventricle))


def ejection_fraction_percent(
    frames: Float[np.ndarray, "t d"],
    prompts: Float[np.ndarray, "p d"],
    values_percent: Int[np.ndarray, "p"],
    num_ranks: int = NUM_RANKS,
) -> float:
    """EchoCLIP's zero-shot ejection fraction.

    In each frame the prompts are sorted by similarity; the values at each rank are averaged over
    the frames; the answer is the median of the averages at the best ranks.

    Args:
        frames: embeddings of the clip's frames.
        prompts: embeddings of the prompts.
        values_percent: the number in each prompt.
        num_ranks: how many ranks are used; all where there are fewer prompts.

    Returns:
        Percent. Of an even number of ranks the lower of the two middle values (PyTorch's median).
        Among equally similar prompts the one that is listed first ranks first. nan without frames.
    """
    if len(frames) == 0:
        return float("nan")
    order = np.argsort(-similarities(frames, prompts), axis=1, kind="stable")
    by_rank = values_percent[order].mean(axis=0)[:num_ranks]
    return float(np.sort(by_rank)[(len(by_rank) - 1) // 2])
