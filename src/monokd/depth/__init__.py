"""Dense depth maps from LiDAR scans."""
