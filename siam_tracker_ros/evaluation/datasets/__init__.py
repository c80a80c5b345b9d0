"""Readers of the layouts in which public benchmarks are handed out."""
