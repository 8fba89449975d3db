"""Loops as operations of torch."""
