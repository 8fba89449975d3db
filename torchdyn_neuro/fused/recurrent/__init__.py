"""Loops of steps with matrix products inside."""
