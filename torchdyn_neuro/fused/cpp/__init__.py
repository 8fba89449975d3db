"""Loops in C++."""
