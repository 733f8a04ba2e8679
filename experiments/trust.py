"""Trains, calibrates and tests the network that judges outlines; writes its weights, prints JSON.

    python -m experiments.trust [--out=FILE]        twenty minutes on one core
    python -m experiments.trust --test=FILE         the figures of weights that are there
    python -m experiments.trust --stills=STILLS.npz         how it does on stills of CAMUS

Hearts are generated as for training (a fifth of the windows poor, a fifth fair), each outlined by
one of the shipped networks, refined as predict does it. It learns from these masks and from
distorted ones (`experiments/distorted_masks.py`), with every exact mask known, and from clips that
are no apical view. Other hearts calibrate it, and others again give the figures. Run it again when
shipped weights or the generator change.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm
from scipy import stats

from echodfkd_jax.evaluation import segmentation
from echodfkd_jax.measurement import trust
from echodfkd_jax.networks import shipped
from echodfkd_jax.networks.safetensors import save_variables
from echodfkd_jax.networks.trust import (
    TrustNet,
    TrustNetwork,
    beside,
    init_variables,
    load_trust,
    overlap,
    where_inside,
)
from echodfkd_jax.synthesis import FRAME_SIZE, VERSION
from experiments import camus_stills
from experiments.distorted_masks import Heart, distort
from experiments.outlined_hearts import SEED, Case, cases, warp

# Clips to learn from, to calibrate on (a half for the curve, a half for intervals), to test on.
NUM_TRAIN, NUM_CALIBRATION, NUM_TEST = 480, 160, 120
# Of a batch: clips, frames of each that are distorted together, and those of them that are shown.
CLIPS, SOME_FRAMES, FRAMES = 16, 6, 2
NUM_STEPS, LEARNING_RATE = 2400, 4e-3
# Of clips that calibrate or test, every so many frames are judged.
EVERY = 3
# Of training clips so many are turned, upside down, mirrored or noise.
NO_VIEW = 0.12


def batch(
    random: np.random.Generator, some: Sequence[Case], context: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """Frames with their context, an outline of each, and the exact one, of clips drawn by chance.

    In a quarter of the clips the outline is a network's, in an eighth the exact one; the others are
    one of these two, distorted.
    """
    parts = []
    for number in random.integers(len(some), size=CLIPS):
        case = some[number]
        frames = np.sort(random.integers(len(case.frames), size=SOME_FRAMES))
        labels = case.labels[frames]
        masks = labels == 1 if random.uniform() < 0.3 else case.masks[frames]
        if random.uniform() < 0.62:
            other = some[int(random.integers(len(some)))].labels[frames] == 1
            masks = distort(random, Heart(masks, labels, other))[1]
        at = random.choice(SOME_FRAMES, size=FRAMES, replace=False)
        shown = beside(case.frames, frames[at], context)
        if random.uniform() < 0.06:  # A picture, not a clip.
            shown = np.repeat(shown[..., :1], shown.shape[-1], axis=-1)
        parts.append(_augment(random, shown, masks[at], labels[at] == 1))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts))


def _augment(
    random: np.random.Generator, shown: np.ndarray, masks: np.ndarray, exact: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Geometry and grey values of some frames of a clip."""
    middle = ((FRAME_SIZE - 1) / 2, (FRAME_SIZE - 1) / 2)
    scale = 2 ** random.uniform(-0.25, 0.25)
    matrix = cv2.getRotationMatrix2D(middle, random.uniform(-10, 10), scale)
    matrix[:, 2] += random.uniform(-0.05, 0.05, 2) * FRAME_SIZE
    each = np.moveaxis(shown, -1, 0).reshape(-1, FRAME_SIZE, FRAME_SIZE)
    each = warp(each, matrix).reshape(shown.shape[-1], *shown.shape[:-1])
    drawn = [warp(255 * one.astype(np.uint8), matrix) > 127 for one in (masks, exact)]
    grey = 255 * (each / 255.0) ** (2 ** random.uniform(-0.7, 0.7))
    veil = random.uniform(0, 0.35) if random.uniform() < 0.5 else 0.0
    grey = np.where(each > 0, veil * 255 + (1 - veil) * grey, 0)
    width = random.uniform(0, 1.4)
    if width > 0.5:
        grey = np.stack([[cv2.GaussianBlur(i, (0, 0), width) for i in one] for one in grey])
    return (np.moveaxis(grey, 0, -1).astype(np.uint8), *drawn)


def train(some: Sequence[Case], num_steps: int = NUM_STEPS) -> tuple[TrustNet, Any]:
    """Learns from the clips; gives network and variables.

    The loss is cross-entropy with the exact mask and, three times, the squared error of the Dice
    that follows from the probabilities.
    """
    model = TrustNet()
    variables = init_variables(model, SEED)
    warm = max(num_steps // 20, 1)
    schedule = optax.warmup_cosine_decay_schedule(0.0, LEARNING_RATE, warm, num_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))
    state = (variables["params"], variables["batch_stats"], optimizer.init(variables["params"]))

    @jax.jit
    def step(state: Any, shown: Any, mask: Any, exact: Any) -> tuple[Any, Any]:
        params, statistics, memory = state
        shown, mask, exact = (array.astype(jnp.float32) for array in (shown, mask, exact))

        def loss(params: Any) -> tuple[Any, Any]:
            variables = {"params": params, "batch_stats": statistics}
            logits, new = model.apply(variables, shown, mask, train=True, mutable=["batch_stats"])
            entropy = optax.sigmoid_binary_cross_entropy(logits, exact).mean()
            off = overlap(jax.nn.sigmoid(logits), mask) - overlap(exact, mask)
            return entropy + 3 * jnp.mean(off**2), (
                new["batch_stats"],
                entropy,
                jnp.abs(off).mean(),
            )

        gradient, (statistics, entropy, off) = jax.grad(loss, has_aux=True)(params)
        updates, memory = optimizer.update(gradient, memory, params)
        return (optax.apply_updates(params, updates), statistics, memory), (entropy, off)

    random = np.random.default_rng(SEED)
    with tqdm.trange(num_steps, unit="step") as bar:
        for number in bar:
            state, found = step(state, *batch(random, some, model.context))
            if number % 20 == 19:
                bar.set_postfix_str("entropy {:.4f}, Dice off by {:.3f}".format(*map(float, found)))
    return model, jax.device_get({"params": state[0], "batch_stats": state[1]})


class Judged(NamedTuple):
    """Outlines of clips that were judged, two of each clip: a network's, and a distorted one.

    Attributes:
        agreement: (n, t) of every frame, see `measurement.trust.agreement`.
        dice: (n, t) with the exact mask.
        kind: (n) which network, or how it was distorted.
    """

    agreement: np.ndarray
    dice: np.ndarray
    kind: np.ndarray

    def only(self, chosen: np.ndarray) -> "Judged":
        """Some of them."""
        return Judged(*(array[chosen] for array in self))


def judge_all(network: TrustNetwork, some: Sequence[Case], seed: int) -> Judged:
    """Judges clips' outlines as a network gave them, and the same distorted."""
    random = np.random.default_rng(seed)
    rows = []
    for number, case in enumerate(tqdm.tqdm(some, "judging", unit="clip")):
        other = some[number - 1].exact
        kind, wrong = distort(random, Heart(case.masks, case.labels, other))
        for name, masks in ((case.network, case.masks), (kind, wrong)):
            at = np.arange(0, len(masks), EVERY)
            found = trust.agreement(where_inside(network, case.frames, masks, at), masks[at])
            dice = segmentation.dice(masks[at], case.exact[at])
            rows.append((found, dice, name))
    return Judged(*(np.array(values) for values in zip(*rows)))


def calibrate(judged: Judged) -> trust.Calibration:
    """Even clips give the curves, odd ones the intervals and where clips are flagged."""
    odd = np.arange(len(judged.dice)) // 2 % 2 == 1
    curve, held_out = judged.only(~odd), judged.only(odd)
    frame = trust.Curve.fit(
        curve.agreement.ravel(),
        curve.dice.ravel(),
        (held_out.agreement.ravel(), held_out.dice.ravel()),
    )
    clip = trust.Curve.fit(*_of_clips(curve), _of_clips(held_out))
    agreement, dice = _of_clips(judged)
    good = dice >= trust.GOOD_DICE
    flag_below = float(np.quantile(agreement[good], trust.FALSE_ALARMS))
    return trust.Calibration(frame, clip, flag_below)


def _of_clips(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    return judged.agreement.mean(axis=1), judged.dice.mean(axis=1)


def figures(judged: Judged, calibration: trust.Calibration) -> dict[str, Any]:
    """What is known of the network, on clips that had no part in its making."""
    networks = np.isin(judged.kind, [*shipped.STUDENTS, "teacher"])
    groups = {"all": networks | True, "networks'": networks, "distorted": ~networks}
    found: dict[str, Any] = {
        name: _figures(judged.only(chosen), calibration) for name, chosen in groups.items()
    }
    found["flagged by kind"] = {
        str(kind): _figures(judged.only(judged.kind == kind), calibration)["flagged"]
        for kind in np.unique(judged.kind)
    }
    return found


def _figures(judged: Judged, calibration: trust.Calibration) -> dict[str, Any]:
    agreement, dice = _of_clips(judged)
    clips = [calibration.clip.expected(value) for value in agreement]
    expected = np.array([clip.dice for clip in clips])
    flagged, bad = agreement < calibration.flag_below, dice < trust.GOOD_DICE
    tenth = np.quantile(agreement[~bad], 0.1) if not bad.all() else np.nan
    fifths = np.array_split(np.argsort(expected, kind="stable"), 5)
    frames = [calibration.frame.expected(value) for value in judged.agreement.ravel()]
    return {
        "clips": len(dice),
        "under .85": int(bad.sum()),
        "flagged": {
            "of those": _mean(flagged[bad]),
            "of the others": _mean(flagged[~bad]),
        },
        # A point of the ROC curve of these outlines: the limit is chosen on them.
        "of those, where a tenth of the others is": _mean(agreement[bad] < tenth),
        "fifths: expected, true": [
            [_mean(expected[part]), _mean(dice[part])] for part in fifths if len(part)
        ],
        "clip in its interval": _mean([c.low <= d <= c.high for c, d in zip(clips, dice)]),
        "width of a clip's interval": _mean([c.high - c.low for c in clips]),
        "frame in its interval": _mean(
            [f.low <= d <= f.high for f, d in zip(frames, judged.dice.ravel())]
        ),
        "mean error of a clip": _mean(np.abs(expected - dice)),
    }


def _mean(values: Any) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None


def on_stills(network: TrustNetwork, path: pathlib.Path) -> dict[str, Any]:
    """The Dice that is expected of the shipped networks' outlines of stills, and the readers' one.

    Args:
        network: judges them, each by itself.
        path: of the file that `experiments/camus_stills.py` describes.
    """
    stills = camus_stills.read_stills(path)
    calibration = trust.Calibration.of(network.calibration)
    found = {}
    for name in (*shipped.STUDENTS, "teacher"):
        masks = camus_stills.outline(camus_stills.load(name), stills.frames)["lv"]
        agreement = [
            trust.agreement(where_inside(network, frame[None], mask[None]), mask[None])[0]
            for frame, mask in zip(stills.frames, masks)
        ]
        expected = [calibration.frame.expected(float(value)) for value in agreement]
        dice = segmentation.dice(masks, stills.masks["lv"])
        flagged = np.array(agreement) < calibration.flag_below
        bad = dice < trust.GOOD_DICE
        found[name] = {
            "stills": len(dice),
            "Dice": _mean(dice),
            "expected": _mean([one.dice for one in expected]),
            "mean error": _mean(np.abs(np.array([one.dice for one in expected]) - dice)),
            "in its interval": _mean([e.low <= d <= e.high for e, d in zip(expected, dice)]),
            "rank correlation": round(float(stats.spearmanr(agreement, dice)[0]), 3),
            "flagged": {"of those under .85": _mean(flagged[bad]), "others": _mean(flagged[~bad])},
            "under .85": int(bad.sum()),
        }
    return found


def save(network: TrustNetwork, path: pathlib.Path) -> None:
    """Writes the weights' file."""
    fields = {f.name: getattr(network.model, f.name) for f in dataclasses.fields(TrustNet)}
    fields = {name: fields[name] for name in ("channels", "context", "subsampling")}
    metadata = {
        "model": json.dumps({"name": "trust", **fields}),
        "calibration": json.dumps(network.calibration),
        **network.metadata,
    }
    save_variables(path, network.variables, metadata)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, default=shipped.TRUST)
    parser.add_argument("--test", type=pathlib.Path, help="weights that are tested, not made")
    parser.add_argument("--stills", type=pathlib.Path, help="of CAMUS, see camus_stills")
    options = parser.parse_args()
    if options.stills:
        network = load_trust(options.test or shipped.TRUST)
        print(json.dumps({"network": network.fingerprint, **on_stills(network, options.stills)}))
        return
    if options.test:
        network = load_trust(options.test)
    else:
        model, variables = train(list(cases(0, NUM_TRAIN, no_view=NO_VIEW)))
        network = TrustNetwork(model, variables, {}, {"generator": VERSION})
        calibrating = judge_all(network, list(cases(NUM_TRAIN, NUM_CALIBRATION)), SEED + 1)
        content = dataclasses.asdict(calibrate(calibrating))
        network = dataclasses.replace(network, calibration=content)
        save(network, options.out)
        print(f"written: {options.out}", file=sys.stderr)
    tested = judge_all(network, list(cases(NUM_TRAIN + NUM_CALIBRATION, NUM_TEST)), SEED + 2)
    found = figures(tested, trust.Calibration.of(network.calibration))
    print(json.dumps({"network": network.fingerprint, **found}, indent=1))


if __name__ == "__main__":
    main()
