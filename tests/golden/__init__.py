"""What the examples' solutions were when somebody last read them."""
