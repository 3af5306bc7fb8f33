"""Synthetic street scenes in KITTI's layout, the same bytes from the same seed on any x86-64 machine.

`layout` and `surroundings` place solids (`meshes`, `palette`) on a road; `geometry` turns them into triangles;
`rasteriser` and `shading` (under the weather of `light`) make the picture, `lidar` scans the same triangles from the
scanner's own pose, `labels` reads boxes, truncation and occlusion off the z-buffer; `generate` writes the folder.

The ground is a plane that may slope against the camera; objects stand on it upright along the camera's y axis,
because a KITTI label knows one angle only. So a label is exact whatever the slope.
"""
