"""The commands of `monokd`, one file each; no stage of the pipeline depends on them."""
