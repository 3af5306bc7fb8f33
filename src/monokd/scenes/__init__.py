"""A synthetic KITTI: street scenes, rendered images and a simulated scanner."""
