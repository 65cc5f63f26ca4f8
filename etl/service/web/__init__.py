"""The status page: what every pipeline does, read from the checkpoints, behind a guard that denies by default."""
