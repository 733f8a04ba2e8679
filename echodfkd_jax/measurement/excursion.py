"""How far the mitral ring moves towards the apex in systole."""

from typing import NamedTuple

from echodfkd_jax.measurement.outline import Outline


class Excursion(NamedTuple):
    """Pixels from end-diastole to end-systole, positive towards the apex.

    Attributes:
        ring: of the middle between the hinges.
        left: of the hinge on the left of the picture.
        right: of the other one.
    """

    ring: float
    left: float
    right: float


def excursion_px(ed: Outline, es: Outline) -> Excursion:
    """Displacement along the long axis that the ventricle has at end-diastole.

    Like the mitral annular plane systolic excursion of an M-mode (MAPSE; Lang et al., chamber
    quantification, J Am Soc Echocardiogr 2015, 28:1-39, have the right side's, TAPSE), in the
    picture: motion of the probe or of the whole heart is part of it, as it is there.

    Args:
        ed: the outline at end-diastole.
        es: the outline at end-systole.
    """
    left, right = (es.hinges - ed.hinges) @ ed.upwards
    return Excursion(float((left + right) / 2), float(left), float(right))
