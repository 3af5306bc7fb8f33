"""One training loop for teacher, baseline and student."""
