"""Benchmarks of the project, a module each; results are made without them."""
