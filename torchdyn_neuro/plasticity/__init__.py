"""Plasticity. One rule, one file."""

from .tsodyks_markram import TsodyksMarkram, TsodyksMarkramState

__all__ = ["TsodyksMarkram", "TsodyksMarkramState"]
