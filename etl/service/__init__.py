"""One process that runs every pipeline of a project by its trigger, shows what it does, and tells when it cannot."""
