"""Synthetic street scenes in KITTI's layout, the same bytes from the same seed on any x86-64 machine."""
