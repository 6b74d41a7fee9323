"""What runs in the sync pod: read both sides, plan, guard, apply, report."""
