"""Business continuity for rented systems: keep a secondary in sync, switch the login URL to it."""
