"""What each family of effects in the generated clips is good for: trains without it, and scores.

    python -m experiments.ablation --without=haze --clips_dir=FOLDER

A small U-Net that sees time is trained on endless clips from which one family of effects has been
taken away, and scored on clips that have all of them and, with `--clips_dir`, on a folder in the
EchoNet layout with `TeacherMasks/`. Prints one JSON object. Ten minutes on two CPU cores; Dice
differs by about 0.02 from seed to seed on recorded clips, so small differences are noise.
"""

import argparse
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from benchmarks import timing  # noqa: F401  (configures JAX as main.py does)
from echodfkd_jax.datasets.generators import maker
from echodfkd_jax.evaluation.correlation import pearson
from echodfkd_jax.evaluation.segmentation import dice
from echodfkd_jax.masks import LV_ALONE, MASK_THRESHOLD
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.unet import UNet
from echodfkd_jax.runs import provenance
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.synthesis import TRAINING_POOR_WINDOWS, make_clip
from echodfkd_jax.synthesis.phantom.clip import Scene, SyntheticClip, render, sample_scene
from echodfkd_jax.training.input import GeneratorInput
from echodfkd_jax.training.state import create_state
from echodfkd_jax.training.step import train_step
from experiments.border_profile import recorded

BATCH, WINDOW, STEPS = 8, 16, 300
TEST_CLIPS, TEST_FRAMES, TEST_SEED = 24, 48, 12345
Change = Callable[[Scene], Scene]


def typical_scene() -> Scene:
    """The mean of many scenes, number by number."""
    keys = jax.random.split(jax.random.key(1), 64)
    scenes = jax.jit(jax.vmap(functools.partial(sample_scene, num_frames=WINDOW)))(keys)
    mean = {
        name: jax.tree.map(lambda each: jnp.mean(each, axis=0), getattr(scenes, name))
        for name in Scene._fields
        if not name.endswith("_key")
    }
    return Scene(**mean, **dict.fromkeys(["level_key", "scatterer_key", "noise_key"]))


def families() -> dict[str, Change]:
    """By name, what takes a family of effects out of a scene."""
    usual = typical_scene()
    return {
        "nothing": lambda scene: scene,
        **_motion_families(usual),
        **_heart_families(usual),
        **_scanner_families(usual),
    }


def _motion_families(usual: Scene) -> dict[str, Change]:
    def motion(scene: Scene) -> Scene:
        mean = usual.movement
        return scene._replace(
            movement=scene.movement._replace(
                obliteration=mean.obliteration,
                narrowing=jnp.mean(scene.movement.narrowing) * jnp.ones(2),
                apical_excess=jnp.zeros(2),
                thickening=mean.thickening,
                drift=jnp.zeros_like(mean.drift),
                rock=jnp.zeros_like(mean.rock),
            )
        )

    def still(scene: Scene) -> Scene:
        phase = jnp.mean(scene.movement.contraction)
        movement = scene.movement._replace(
            contraction=jnp.full_like(scene.movement.contraction, phase)
        )
        return scene._replace(movement=movement)

    def compaction(scene: Scene) -> Scene:
        return scene._replace(movement=scene.movement._replace(compaction=jnp.zeros(())))

    return {"regional motion": motion, "motion": still, "compaction": compaction}


def _heart_families(usual: Scene) -> dict[str, Change]:
    def anatomy(scene: Scene) -> Scene:
        heart = jax.tree.map(
            lambda each, mean: mean + 0.2 * (each - mean), scene.heart, usual.heart
        )
        return scene._replace(heart=heart)

    def walls(scene: Scene) -> Scene:
        even = jnp.mean(jnp.stack([usual.levels.septal, usual.levels.lateral]))
        levels = scene.levels._replace(
            septal=even,
            lateral=even,
            variation=jnp.zeros(()),
            patches=jnp.zeros(()),
            apex_drop=jnp.zeros(()),
            dim=jnp.full((), 3.0),
            outer_fade=jnp.zeros(()),
            merged=jnp.zeros(()),
        )
        return scene._replace(levels=levels)

    def outline(scene: Scene) -> Scene:
        heart = scene.heart
        onto_wall = heart._replace(gap=jnp.full(2, 0.1), wall=heart.wall + heart.gap - 0.1)
        return scene._replace(heart=onto_wall)

    def trabeculae(scene: Scene) -> Scene:
        heart = scene.heart._replace(
            trabecular=jnp.full(2, 0.3), apical_trabeculae=jnp.full((), 0.01)
        )
        return scene._replace(heart=heart)

    def valves(scene: Scene) -> Scene:
        return scene._replace(leaflets=scene.leaflets._replace(level=jnp.full(4, -120.0)))

    return {
        "anatomy": anatomy,
        "walls": walls,
        "outline": outline,
        "trabeculae": trabeculae,
        "valves": valves,
    }


def _scanner_families(usual: Scene) -> dict[str, Change]:
    def sector(scene: Scene) -> Scene:
        pose = scene.pose._replace(
            apex_x=scene.pose.apex_x - scene.sector.x + usual.sector.x,
            apex_y=scene.pose.apex_y
            - jnp.maximum(scene.sector.y + scene.sector.near, 0.0)
            + usual.sector.y
            + usual.sector.near,
        )
        return scene._replace(sector=usual.sector, pose=pose)

    def scanner(**fields: jax.Array) -> Change:
        return lambda scene: scene._replace(scanner=scene.scanner._replace(**fields))

    mean = usual.scanner
    return {
        "sector": sector,
        "speckle smear": scanner(
            lateral=jnp.zeros(5).at[0].set(1.0),
            axial=jnp.asarray([1.0, 0.0]),
            compound=jnp.zeros(2),
        ),
        "haze": scanner(
            clutter=jnp.zeros_like(mean.clutter), noise=jnp.full_like(mean.noise, 1e-3)
        ),
        "gain": scanner(gain_db=jnp.zeros_like(mean.gain_db), tgc_db=jnp.zeros_like(mean.tgc_db)),
        "display": scanner(range_db=mean.range_db, gamma=mean.gamma),
        "overlays": lambda scene: scene._replace(markings=jnp.zeros_like(scene.markings)),
        "compression": scanner(quality=jnp.zeros(()), sharpness=jnp.zeros(()), blend=jnp.zeros(())),
    }


def clips_without(change: Change) -> Callable[..., SyntheticClip]:
    """`make_clip` with every scene changed before it is filmed."""

    def make(key: jax.Array, **options: Any) -> SyntheticClip:
        return render(change(sample_scene(key, **options)))

    return make


class _Changed:
    """A family of the phantom as a generator."""

    version = "ablation"

    def __init__(self, make: Callable[..., SyntheticClip]) -> None:
        self._make = make

    def make(self, key: jax.Array, *, num_frames: int, train: jax.Array | bool) -> SyntheticClip:
        """See `datasets.generators.Generator`."""
        poor_windows = jnp.where(train, TRAINING_POOR_WINDOWS, 0.0)
        return self._make(key, num_frames=num_frames, poor_windows=poor_windows)


def train(make: Callable[..., SyntheticClip], *, steps: int, seed: int) -> tuple[UNet, Mapping]:
    """A small U-Net that sees time, and its variables after `steps` steps on endless clips."""
    model = UNet(channels=(8, 16, 32, 64), context=(-8, -4, 4, 8), subsampling=2)
    settings = InputSettings("generator", "reference", WINDOW, num_threads=0, cache_gib=0.0)
    every = range(WINDOW)
    data = GeneratorInput(
        maker(_Changed(make), LV_ALONE, num_frames=WINDOW, shown=every, outlined=every),
        settings,
        batch_size=BATCH,
        num_train=BATCH,
        num_validation=1,
        seed=seed,
    )
    rate = optax.warmup_cosine_decay_schedule(0.0, 4e-3, steps // 10, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    state = create_state(model, optimizer, seed)
    step = jax.jit(
        functools.partial(
            train_step, model=model, optimizer=optimizer, expand=data.expand, axis_name=None
        ),
        donate_argnums=0,
    )
    for number in tqdm.trange(steps, unit="step", mininterval=5.0):
        state, metrics = step(state, data.batch(number))
        if number % 50 == 49 and not float(metrics["finite"]):
            raise FloatingPointError(f"the loss is not finite at step {number + 1}")
    return model, state.variables


def score(model: UNet, variables: Mapping, clips: list[tuple[np.ndarray, np.ndarray]]) -> dict:
    """Means over clips of Dice, area correlation and fractional area change (ours, reference's).

    Args:
        model: the network.
        variables: its weights.
        clips: (frames uint8, masks bool), each (t, h, w).
    """
    rows = []
    for frames, masks in clips:
        found = predict_clip(LoadedNetwork(model, variables), frames)[..., 0] > MASK_THRESHOLD
        own, theirs = (np.sum(each, axis=(1, 2)).astype(np.float64) for each in (found, masks))
        rows.append(
            (
                float(np.mean(dice(found, masks))),
                pearson(own, theirs),
                float(1.0 - own.min() / max(own.max(), 1.0)),
                float(1.0 - theirs.min() / theirs.max()),
            )
        )
    names = ("dice", "area_correlation", "area_change", "reference_area_change")
    means = {name: float(np.nanmean(column)) for name, column in zip(names, zip(*rows))}
    return {**means, "worst_dice": min(row[0] for row in rows), "num_clips": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", default="nothing", help="one of `families`")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips_dir", default="")
    options = parser.parse_args()
    known = families()
    if options.without not in known:
        parser.error(f"--without={options.without}: expected one of {', '.join(known)}")
    make = clips_without(known[options.without])
    model, variables = train(make, steps=options.steps, seed=options.seed)
    generate = jax.jit(functools.partial(make_clip, num_frames=TEST_FRAMES))
    keys = jax.random.split(jax.random.key(TEST_SEED), TEST_CLIPS)
    generated = [tuple(map(np.asarray, generate(key)[:2])) for key in keys]
    scores = {"generated": score(model, variables, generated)}
    if options.clips_dir:
        scores["clips_dir"] = score(model, variables, list(recorded(options.clips_dir)))
    run = {name: getattr(options, name) for name in ("without", "steps", "seed")}
    print(json.dumps({**run, **scores, "commit": provenance.commit()}))


if __name__ == "__main__":
    main()
