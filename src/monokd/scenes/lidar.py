"""A 64-beam scanner: one ray per beam and column, cast from the scanner's own place in the world."""

import numpy as np

from monokd.kitti.calibration import Calibration
from monokd.scenes.layout import CAMERA_HEIGHT_M, Road, Triangles
from monokd.scenes.palette import LAMP, LOST_RETURNS
from monokd.scenes.raycast import SKY, Rays, cast
from monokd.typing import Floats32

SECTOR_DEG, COLUMN_STEP_DEG = 90.0, 0.17
MIN_RANGE_M, MAX_RANGE_M = 2.0, 80.0
GROUND_REFLECTANCE, GROUND_LOSS = 0.30, 0.03
# The HDL-64E's beams from −24.3° up to +2°: 32 at steps of 1/2°, 32 at steps of 1/3°.
BEAMS_DEG = np.concatenate([-8.83 - np.arange(31, -1, -1) / 2, 2.0 - np.arange(31, -1, -1) / 3])


def scan_rays() -> Rays:
    """One line of rays per column, from the right to the left, one ray per beam, from the ground up."""
    count = int(SECTOR_DEG / COLUMN_STEP_DEG)
    azimuths = np.radians((np.arange(count) - (count - 1) / 2) * COLUMN_STEP_DEG)
    return Rays(np.tan(azimuths), np.tan(np.radians(BEAMS_DEG)), 1.0 / np.cos(azimuths))


def scan_world(
    triangles: Triangles, road: Road, calibration: Calibration, rng: np.random.Generator, *,
    range_noise_m: float = 0.02, dropout: float = 1.0,
) -> Floats32:  # fmt: skip
    """Scan a world from the scanner's pose, N×4: x ahead, y left, z up (metres), reflectance; the upper beams first.

    A ray returns with a probability that falls with the squared range, with grazing incidence on dark surfaces, and on
    glass. What returns is the brightness of the colour; lamps and plates return more. `range_noise_m` is a standard
    deviation; `dropout` scales the share of lost returns, 0 keeps all. Coordinates are whole millimetres.
    """
    rotation = calibration.R0_rect @ calibration.Tr_velo_to_cam[:, :3]
    shift = calibration.R0_rect @ calibration.Tr_velo_to_cam[:, 3]
    normal = np.array([-road.bank, 1.0, -road.pitch])
    ground = normal @ rotation / (CAMERA_HEIGHT_M - normal @ shift)
    rays = scan_rays()
    corners = (triangles.corners_m - shift) @ np.linalg.inv(rotation).T
    hits = cast(corners, np.full(len(corners), -1), 0, ground, rays)
    inverse, hit = (values.T[::-1].ravel() for values in (hits.inverse, hits.triangle))
    ways = np.stack([np.tile(rays.lines, len(rays.steps)), np.outer(rays.steps[::-1], rays.stretch).ravel()])
    across, up, length = np.vstack([ways, np.sqrt(1.0 + ways[0] ** 2 + ways[1] ** 2)]).astype(np.float32)
    near = (hit != SKY) & (inverse * MAX_RANGE_M >= length) & (inverse * MIN_RANGE_M <= length)
    inverse, hit, across, up, length = (values[near] for values in (inverse, hit, across, up, length))
    # the ground, −1, is the last row of every table
    normals = np.vstack([triangles.normals @ rotation, ground / np.linalg.norm(ground)]).astype(np.float32)[hit].T
    facing = np.abs(normals[0] + normals[1] * across + normals[2] * up) / length
    returned = np.where(triangles.materials == LAMP, 0.9, 0.05 + 0.6 * (triangles.colours @ (0.3, 0.6, 0.1) / 255.0))
    reflectance = np.append(returned, GROUND_REFLECTANCE).astype(np.float32)[hit]
    loss = np.append(LOST_RETURNS[triangles.materials], GROUND_LOSS).astype(np.float32)[hit]
    signal = reflectance * (0.15 + 0.85 * facing) * (40.0 * inverse / length) ** 2
    faint = np.maximum(0.0, 1.0 - signal / 0.06)
    kept = rng.random(len(hit), dtype=np.float32) < (1.0 - dropout * loss) * (1.0 - dropout * faint)
    ahead = 1.0 / inverse + range_noise_m * rng.standard_normal(len(hit), dtype=np.float32) / length
    grain = 0.06 * rng.random(len(hit), dtype=np.float32) - 0.03
    shine = np.clip(reflectance * (0.4 + 0.6 * facing) + grain, 0.0, 0.99)
    points = np.stack([ahead, ahead * across, ahead * up], axis=1).round(3)
    return np.asarray(np.column_stack([points, shine.round(2)])[kept])
