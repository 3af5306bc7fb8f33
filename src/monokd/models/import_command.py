"""The `monokd import` command: a published checkpoint becomes a detector file of ours."""
