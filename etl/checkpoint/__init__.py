"""What must survive a crash: identity, epochs, plans, manifests, commit entries."""
