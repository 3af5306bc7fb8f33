"""Knowledge distillation for monocular 3D object detection, from raw KITTI to the table."""

__version__ = "0.1.0"
