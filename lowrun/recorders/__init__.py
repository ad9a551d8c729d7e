"""One feature that watches a run, one file; none imports another."""
