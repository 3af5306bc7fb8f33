"""A trained detector over frames, into KITTI text."""
