"""Synthetic street scenes in KITTI's layout, the same bytes from the same seed on one machine.

`layout` and `surroundings` place solids (`meshes`, `palette`) on a road, as triangles; `raycast` meets them with the
rays of the picture (`rasteriser`, coloured by `shading`) and of the scanner (`lidar`); `labels` reads boxes, truncation
and occlusion off the picture; `generate` writes the folder.

The ground is a plane that may slope against the camera; objects stand on it upright along the camera's y axis,
because a KITTI label knows one angle only. So a label is exact whatever the slope.
"""
