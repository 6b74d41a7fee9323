"""The demo: one tenant, from an empty secondary to a switch and back, told while it happens."""
