"""The KITTI benchmark on a CPU; numpy and numba alone."""
