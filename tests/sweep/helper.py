"""What tests.sweep.tasks needs."""

FACTOR = 1.0
