"""Ejection fraction from a size at end-diastole and one at end-systole."""


def ejection_fraction_percent(ed_size: float, es_size: float) -> float:
    """100 * (ED - ES) / ED, of areas (the published naive estimate) or of volumes.

    Returns:
        0 when the ventricle is empty at end-diastole, as published; negative when it is larger at
        end-systole.
    """
    if ed_size == 0:
        return 0.0
    return 100.0 * (ed_size - es_size) / ed_size
