"""YAML files with positions -> validated specification -> wired pipeline. Moves no rows."""
