"""Annotations of commands whose files do not carry them yet."""
