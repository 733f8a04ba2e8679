import numpy as np

from echodfkd_jax.clips import traces

# Long axis, then three chords; 2.5 rounds to 2 and 3.5 to 4, as NumPy and the data set do.
TRACE = np.array(
    [
        [7.0, 0.0, 0.0, 7.0],
        [3.0, 1.0, 5.0, 1.0],
        [2.5, 3.0, 6.0, 3.0],
        [3.5, 5.2, 4.0, 4.8],
    ]
)


def test_polygon_goes_down_one_side_and_up_the_other():
    x, y = traces.polygon(TRACE)
    assert x.tolist() == [3.0, 2.5, 3.5, 4.0, 6.0, 5.0]
    assert y.tolist() == [1.0, 3.0, 5.2, 4.8, 3.0, 1.0]


def test_mask_is_the_filled_polygon():
    filled = traces.mask(TRACE, frame_shape=(8, 8), size_px=8)
    assert filled.astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 1, 1, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_mask_of_a_resized_frame_is_scaled_with_it():
    twice = (TRACE + 0.5) * 2 - 0.5
    small = traces.mask(twice, frame_shape=(16, 16), size_px=8)
    np.testing.assert_array_equal(small, traces.mask(TRACE, frame_shape=(8, 8), size_px=8))


def test_what_lies_outside_the_frame_is_cut_off():
    filled = traces.mask(TRACE + 4, frame_shape=(8, 8), size_px=8)
    assert filled[5:].astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1, 1],
    ]


def test_annotators_are_kept_apart():
    rows = np.arange(42 * 4, dtype=float).reshape(42, 4)
    tables, left_over = traces.split_annotators(rows)
    assert [table[0, 0] for table in tables] == [0.0, 84.0]
    assert left_over == 0


def test_incomplete_table_is_dropped():
    tables, left_over = traces.split_annotators(np.zeros((30, 4)))
    assert (len(tables), left_over) == (1, 9)


def test_an_outline_is_its_own_polygon():
    outline = np.array([[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]])
    filled = traces.mask(outline, frame_shape=(8, 8), size_px=8)
    assert filled.sum() == 16 and filled[1:5, 2:6].all()
    assert traces.split_annotators(outline[:2]) == ([], 2)


def test_chords_of_an_outline_run_from_its_base_to_its_apex():
    # A tall ellipse, leaning to the right.
    turns = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    lean = np.deg2rad(20)
    up, right = np.array([np.sin(lean), -np.cos(lean)]), np.array([np.cos(lean), np.sin(lean)])
    outline = [56, 50] + 30 * np.cos(turns)[:, None] * up + 15 * np.sin(turns)[:, None] * right
    rows = traces.from_outline(outline)
    assert rows.shape == (traces.ROWS_PER_TRACE, 4)
    base, apex = rows[0, :2], rows[0, 2:]
    np.testing.assert_allclose(apex - base, 60 * up, atol=0.5)
    starts, ends = rows[1:, :2], rows[1:, 2:]
    middles = (starts + ends) / 2
    np.testing.assert_allclose(np.diff(middles @ up), 60 * 0.98 / 19, atol=0.02)
    np.testing.assert_allclose((ends - starts) @ up, 0, atol=1e-9)
    assert ((ends - starts) @ right > 0).all()
    # The widest of an ellipse is its short axis.
    np.testing.assert_allclose(np.hypot(*(ends - starts).T).max(), 30, atol=0.1)


def test_a_bay_in_the_side_is_bridged():
    outline = np.array([[10, 0], [20, 0], [20, 8], [15, 10], [20, 12], [20, 20], [10, 20.0]])
    rows = traces.from_outline(outline)
    assert np.abs(rows[1:, 0] - rows[1:, 2]).max() < 12
    crossing = rows[1:][np.abs(rows[1:, 1] - 10) < 2]
    assert (crossing[:, 2] > 14).all()
