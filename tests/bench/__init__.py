"""Benchmarks: lowrun side by side with its peers; `make bench` runs them."""
