"""Loops in Triton."""
