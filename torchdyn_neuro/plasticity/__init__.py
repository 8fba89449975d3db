"""Plasticity. One rule, one file."""

from .hebbian import Hebbian
from .tsodyks_markram import TsodyksMarkram, TsodyksMarkramState

__all__ = ["Hebbian", "TsodyksMarkram", "TsodyksMarkramState"]
