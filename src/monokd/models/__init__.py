"""The detector: backbone, neck, heads, decoding, published checkpoints."""
