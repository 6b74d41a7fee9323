"""One driver per way of redirecting a login URL: observe, apply, restore."""
