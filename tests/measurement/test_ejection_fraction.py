from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent


def test_it_is_the_part_that_leaves():
    assert ejection_fraction_percent(200.0, 80.0) == 60.0


def test_a_ventricle_that_is_empty_at_end_diastole_ejects_nothing():
    assert ejection_fraction_percent(0.0, 10.0) == 0.0


def test_swapped_phases_show_as_a_negative_number():
    assert ejection_fraction_percent(80.0, 120.0) == -50.0
