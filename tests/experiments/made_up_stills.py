"""Stills in the layout of `experiments/camus_stills.py`, drawn from ellipses."""

import numpy as np

SIDE = 32


def arrays(patients, *, seed=0, noise=10.0, prefix="made"):
    """Hearts at ED and ES: dark blood, a bright myocardium, an atrium below, tissue around.

    The ventricle is smaller at ES. Without noise the map decides every pixel.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    content = {name: [] for name in ("frames", "masks", "myocardium", "atrium")}
    for _ in range(patients):
        middle_y, middle_x = random.uniform(0.35, 0.45) * SIDE, random.uniform(0.35, 0.65) * SIDE
        size = random.uniform(0.15, 0.2) * SIDE
        for scale in (1.0, 0.65):
            width, height = scale * size, 1.5 * scale * size
            inside = ((x - middle_x) / width) ** 2 + ((y - middle_y) / height) ** 2
            cavity, wall = inside < 1, (inside >= 1) & (inside < 1.9)
            below = (x - middle_x) ** 2 + (y - middle_y - height - 5) ** 2
            atrium = (below < 16) & ~cavity & ~wall
            grey = np.select([cavity, wall, atrium], [20.0, 220.0, 60.0], 110.0)
            grey = grey + noise * random.normal(size=grey.shape)
            content["frames"].append(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
            for name, mask in (("masks", cavity), ("myocardium", wall), ("atrium", atrium)):
                content[name].append(mask)
    names = [f"{prefix}{number:04d}" for number in range(patients)]
    return {name: np.stack(values) for name, values in content.items()} | {
        "phase": np.array(["ED", "ES"] * patients),
        "patient": np.repeat(names, 2),
    }


def write(path, patients, **options):
    np.savez_compressed(path, **arrays(patients, **options))
    return path
