"""Distillation terms, one file each, and their sums."""
