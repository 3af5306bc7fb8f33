"""From files to network inputs and targets."""
