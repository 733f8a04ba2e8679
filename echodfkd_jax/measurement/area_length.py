"""Volume of the left ventricle from its area and its length in one view.

The area-length method takes the ventricle for a bullet: 8 A^2 / (3 pi L), which is exact for an
ellipsoid of revolution and for half of one (Lang et al., chamber quantification, J Am Soc
Echocardiogr 2015, 28:1-39; Dodge et al., Am Heart J 1960, 60:762-776).
"""

import math


def volume_px3(area_px: float, length_px: float) -> float:
    """Volume in cubic pixels.

    Args:
        area_px: of the cavity.
        length_px: from the middle of the mitral ring to the apex, more than 0.
    """
    return 8 * area_px**2 / (3 * math.pi * length_px)
