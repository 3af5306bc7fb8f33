"""A detector's boxes as labels of frames that have none."""
