"""KITTI's files: labels, calibration, splits, the index of frames."""
