"""kubectl-bcp, the kubectl plugin: one file per verb."""
