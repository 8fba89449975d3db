"""What the loops of a step load, compute, carry and store."""
