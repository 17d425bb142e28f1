"""Benchmarks: ratios between two things measured in one run, never absolute promises."""
