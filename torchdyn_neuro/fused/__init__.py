"""The fused time loop: a step is written once in torch and runs as one loop over time, forward and backward."""

from ..core.time_loop import register_backend
from .backends import Auto, Fused
from .record.trace import NotPointwise

register_backend("auto", Auto())
register_backend("cpp", Fused("cpp"))
register_backend("triton", Fused("triton"))

__all__ = ["NotPointwise"]
