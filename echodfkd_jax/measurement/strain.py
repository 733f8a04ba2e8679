"""Longitudinal strain of the left ventricle's endocardium in one view."""

from echodfkd_jax.measurement.outline import Outline


def longitudinal_percent(ed: Outline, es: Outline) -> float:
    """100 (L_ES - L_ED) / L_ED, L being the endocardium's length without the mitral plane.

    Lagrangian, so relative to end-diastole; negative where the wall shortens (Voigt et al.,
    definitions for a common standard for 2D speckle tracking, J Am Soc Echocardiogr 2015,
    28:183-193, 'global longitudinal strain' of the endocardial contour). Of an outline, not of
    tracked tissue: what slides along the contour is not seen.

    Args:
        ed: the outline at end-diastole.
        es: the outline at end-systole.
    """
    return 100 * (es.wall_length_px - ed.wall_length_px) / ed.wall_length_px
