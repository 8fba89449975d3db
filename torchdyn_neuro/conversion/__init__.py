"""Trained networks of ReLUs as networks of spiking neurons."""

from .convert import convert

__all__ = ["convert"]
