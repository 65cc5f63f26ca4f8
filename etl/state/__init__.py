"""What stateful transforms remember between batches: keyed tables, versioned by batch, in immutable files."""
