"""Ventricles and what is around them as soft masks, of shapes whose measures are known.

A ventricle is a bullet: a half ellipse whose straight walls are prolonged down to the base.
Coordinates along (up from the base) and across (to the right) its long axis, in pixels.
"""

import dataclasses
import math

import numpy as np

_FINER = 4  # Points a pixel's side: an edge pixel is soft.


@dataclasses.dataclass(frozen=True)
class Bullet:
    """Half-width, straight part of the walls, height of the apex; the base may be higher up."""

    half_width: float = 15.0
    straight: float = 0.0
    cap: float = 50.0
    base: float = 0.0

    @property
    def length(self):
        return self.straight + self.cap - self.base

    @property
    def wall_length(self):
        """Of half an ellipse (Ramanujan) and of both straight parts; the base is in them."""
        a, b = self.half_width, self.cap
        h = ((a - b) / (a + b)) ** 2
        perimeter = math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
        return perimeter / 2 + 2 * (self.straight - self.base)

    @property
    def area(self):
        return math.pi / 2 * self.half_width * self.cap + 2 * self.half_width * (
            self.straight - self.base
        )

    def inside(self, along, across):
        above = np.maximum(along - self.straight, 0)
        ellipse = (across / self.half_width) ** 2 + (above / self.cap) ** 2 <= 1
        return ellipse & (along >= self.base)


def points(foot=(85.5, 56.5), lean_degrees=0.0, size=112):
    """Along and across of fine points; the axis stands on `foot` (y, x) and leans to the right."""
    line = (np.arange(size * _FINER) + 0.5) / _FINER - 0.5
    y, x = np.meshgrid(line - foot[0], line - foot[1], indexing="ij")
    lean = math.radians(lean_degrees)
    along = x * math.sin(lean) - y * math.cos(lean)
    across = x * math.cos(lean) + y * math.sin(lean)
    return along, across


def soft(inside):
    """Fine points as uint8 (h, w): the part of a pixel that is inside."""
    side = len(inside) // _FINER
    parts = inside.reshape(side, _FINER, side, _FINER).mean(axis=(1, 3))
    return np.rint(255 * parts).astype(np.uint8)


def draw(bullet, **place):
    return soft(bullet.inside(*points(**place)))


def draw_wall(bullet, left, right, **place):
    """The muscle around a bullet: so thick on either side, as thick as the left one at the apex."""
    along, across = points(**place)
    half = np.where(across < 0, bullet.half_width + left, bullet.half_width + right)
    above = np.maximum(along - bullet.straight, 0) / (bullet.cap + left)
    outer = ((across / half) ** 2 + above**2 <= 1) & (along >= bullet.base)
    return soft(outer & ~bullet.inside(along, across))


def draw_box(height, half_width, *, top=-1.0, middle=0.0, **place):
    """A chamber below the base: a box whose upper side is at `top`."""
    along, across = points(**place)
    return soft((along <= top) & (along > top - height) & (abs(across - middle) < half_width))
