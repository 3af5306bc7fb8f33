"""Hidden returns: removed where an object moved over them, kept elsewhere."""

import numpy as np

from monokd.depth.projection import project_scan
from monokd.depth.visibility import remove_hidden
from tests.depth.worlds import F64, SHAPE, camera, sweep, wall


def _box_before_wall(rays: F64) -> F64:
    """A board 4 m ahead, 1.2 m wide, from 0.2 m below the scanner down, before a wall at 20 m."""
    board = 4.0 / np.maximum(rays[:, 0], 1e-9)
    hit = rays * board[:, None]
    on_board = (np.abs(hit[:, 1]) < 0.6) & (hit[:, 2] < -0.2)
    return np.where(on_board, board, wall(20.0)(rays))


def test_background_that_shines_through_an_object_is_removed() -> None:
    """The scanner stands 0.3 m above the camera and looks over the board at what the board hides from the camera."""
    calibration = camera((0.0, -0.3, 0.0))
    scan = sweep(_box_before_wall, rings=60)
    sparse = project_scan(scan, calibration, SHAPE)
    # The board's upper edge is 0.1 m above the camera: v = 50 − 0.1·200/4 = 45. It spans u from 70 to 130.
    inside = np.zeros(SHAPE, np.bool_)
    inside[50:, 75:125] = True
    shining = inside & (sparse.depth_m > 10)
    assert shining.sum() > 20
    kept = remove_hidden(sparse)
    assert (kept.depth_m[shining] > 0).mean() < 0.1
    background = ~inside & (sparse.depth_m > 10)
    background[40:, 65:135] = False
    assert (kept.depth_m[background] > 0).all()
    foreground = (sparse.depth_m > 0) & (sparse.depth_m < 10)
    assert (kept.depth_m[foreground] > 0).all()
    assert kept.ring_depth_m.astype(bool).sum() < sparse.ring_depth_m.astype(bool).sum()


def test_a_scanner_in_the_camera_and_a_plain_wall_hide_nothing() -> None:
    for calibration, surface in ((camera(), _box_before_wall), (camera((0.0, -0.3, -0.27)), wall(12.0))):
        sparse = project_scan(sweep(surface, rings=60), calibration, SHAPE)
        np.testing.assert_array_equal(remove_hidden(sparse).depth_m, sparse.depth_m)


def test_a_row_that_rounds_up_to_the_images_height_is_the_last_one() -> None:
    sparse = project_scan(sweep(wall(12.0), rings=60), camera(), SHAPE)
    lowest = sparse.ring_row_px.max() == sparse.ring_row_px
    rounded = sparse._replace(ring_row_px=np.where(lowest, np.float32(SHAPE[0]), sparse.ring_row_px))
    assert remove_hidden(rounded).ring_depth_m.shape == sparse.ring_depth_m.shape
