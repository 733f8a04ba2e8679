"""Overlap of binary masks, frame by frame."""

import numpy as np
from jaxtyping import Bool, Float64, Int64


def dice(
    predicted: Bool[np.ndarray, "n h w"], reference: Bool[np.ndarray, "n h w"]
) -> Float64[np.ndarray, "n"]:
    """Dice coefficient of every frame, 0..1.

    Two empty masks agree: 1.0. Their number is `both_empty(...).sum()` and is reported.
    """
    return _ratio(2 * intersection_px(predicted, reference), total_px(predicted, reference))


def iou(
    predicted: Bool[np.ndarray, "n h w"], reference: Bool[np.ndarray, "n h w"]
) -> Float64[np.ndarray, "n"]:
    """Intersection over union of every frame, 0..1; 1.0 for two empty masks."""
    intersection = intersection_px(predicted, reference)
    return _ratio(intersection, total_px(predicted, reference) - intersection)


def both_empty(
    predicted: Bool[np.ndarray, "n h w"], reference: Bool[np.ndarray, "n h w"]
) -> Bool[np.ndarray, "n"]:
    """Frames in which neither mask has a pixel, so that overlap says nothing."""
    return total_px(predicted, reference) == 0


def intersection_px(
    predicted: Bool[np.ndarray, "n h w"], reference: Bool[np.ndarray, "n h w"]
) -> Int64[np.ndarray, "n"]:
    """Pixels in both masks, per frame."""
    return np.count_nonzero(predicted & reference, axis=(1, 2)).astype(np.int64)


def total_px(
    predicted: Bool[np.ndarray, "n h w"], reference: Bool[np.ndarray, "n h w"]
) -> Int64[np.ndarray, "n"]:
    """Pixels of the one mask plus pixels of the other, per frame."""
    count = np.count_nonzero(predicted, axis=(1, 2)) + np.count_nonzero(reference, axis=(1, 2))
    return count.astype(np.int64)


def _ratio(part: Int64[np.ndarray, "n"], whole: Int64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.where(whole == 0, 1.0, part / np.maximum(whole, 1))
