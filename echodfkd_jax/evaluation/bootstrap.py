"""Percentile intervals by resampling clips with replacement, from a seed."""

import functools

import numpy as np
from jaxtyping import Float, Float64

# Percentiles of the usual 95 % interval.
CI95 = (2.5, 97.5)
# Fewer clips than this say nothing about the spread.
MIN_CLIPS = 2
MIN_CLIPS_OF_CORRELATION = 3


def interval_of_mean(
    values: Float[np.ndarray, "n"],
    *,
    num_samples: int,
    seed: int = 0,
    percentiles: tuple[float, float] = CI95,
) -> tuple[float, float]:
    """Interval of the mean over clips.

    Args:
        values: one number per clip, none of them nan.
        num_samples: bootstrap samples.
        seed: same seed, same interval.
        percentiles: lower and upper end, 0..100.

    Returns:
        (nan, nan) for fewer than two clips.
    """
    return interval_of_ratio(
        values, np.ones_like(values), num_samples=num_samples, seed=seed, percentiles=percentiles
    )


def interval_of_ratio(
    part: Float[np.ndarray, "n"],
    whole: Float[np.ndarray, "n"],
    *,
    num_samples: int,
    seed: int = 0,
    percentiles: tuple[float, float] = CI95,
) -> tuple[float, float]:
    """Interval of sum(part) / sum(whole), each summed over the resampled clips.

    Args:
        part: one number per clip.
        whole: one number per clip, not negative; samples in which they sum to 0 are left out.
        num_samples: as in `interval_of_mean`, and so are `seed` and `percentiles`.
        seed: see above.
        percentiles: see above.

    Returns:
        (nan, nan) for fewer than two clips.
    """
    if len(part) < MIN_CLIPS:
        return float("nan"), float("nan")
    weights = resamples(len(part), num_samples, seed)
    wholes = weights @ whole.astype(np.float64)
    parts = weights @ part.astype(np.float64)
    return _interval(parts[wholes > 0] / wholes[wholes > 0], percentiles)


def interval_of_pearson(
    first: Float[np.ndarray, "n"],
    second: Float[np.ndarray, "n"],
    *,
    num_samples: int,
    seed: int = 0,
    percentiles: tuple[float, float] = CI95,
) -> tuple[float, float]:
    """Interval of Pearson's r over clips; samples in which one side is constant are left out.

    Returns:
        (nan, nan) for fewer than three clips, or when every sample was left out.
    """
    if len(first) < MIN_CLIPS_OF_CORRELATION:
        return float("nan"), float("nan")
    samples = _pearson_samples(first, second, num_samples, seed)
    return _interval(samples[~np.isnan(samples)], percentiles)


def interval_of_pearson_difference(
    one: tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]],
    other: tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]],
    *,
    num_samples: int,
    seed: int = 0,
    percentiles: tuple[float, float] = CI95,
) -> tuple[float, float]:
    """Interval of Pearson's r of `other` less that of `one`, of the same clips in every sample.

    Returns:
        (nan, nan) for fewer than three clips, or when every sample was left out.
    """
    if len(one[0]) < MIN_CLIPS_OF_CORRELATION:
        return float("nan"), float("nan")
    samples = _pearson_samples(*other, num_samples, seed) - _pearson_samples(
        *one, num_samples, seed
    )
    return _interval(samples[~np.isnan(samples)], percentiles)


def _pearson_samples(
    first: Float[np.ndarray, "n"], second: Float[np.ndarray, "n"], num_samples: int, seed: int
) -> Float64[np.ndarray, "samples"]:
    """Pearson's r of every sample; nan where one side is constant."""
    weights = resamples(len(first), num_samples, seed) / len(first)
    # Centred on the whole sample first: the moments below are then small and cancel little.
    first, second = first - first.mean(), second - second.mean()
    mean_first, mean_second = weights @ first, weights @ second
    variance_first = weights @ first**2 - mean_first**2
    variance_second = weights @ second**2 - mean_second**2
    covariance = weights @ (first * second) - mean_first * mean_second
    smallest = 1e-12
    varied = (variance_first > smallest * np.mean(first**2)) & (
        variance_second > smallest * np.mean(second**2)
    )
    found = np.full(num_samples, np.nan)
    scale = np.sqrt(variance_first[varied] * variance_second[varied])
    found[varied] = np.clip(covariance[varied] / scale, -1.0, 1.0)
    return found


@functools.lru_cache(maxsize=2)
def resamples(num_clips: int, num_samples: int, seed: int) -> Float64[np.ndarray, "samples n"]:
    """How often every clip was drawn, per sample; the same for all metrics of the same clips."""
    generator = np.random.default_rng(seed)
    probabilities = np.full(num_clips, 1 / num_clips)
    return generator.multinomial(num_clips, probabilities, size=num_samples).astype(np.float64)


def _interval(
    samples: Float64[np.ndarray, "k"], percentiles: tuple[float, float]
) -> tuple[float, float]:
    if len(samples) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(samples, percentiles)
    return float(low), float(high)
