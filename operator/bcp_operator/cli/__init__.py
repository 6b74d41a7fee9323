"""kubectl-bcp: one file per verb."""
