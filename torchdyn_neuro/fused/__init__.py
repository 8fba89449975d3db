"""The fused time loop: a step is written once in torch and runs as one loop over time, forward and backward."""

from ..core.time_loop import register_backend
from .dispatch import auto_loop, named_loop
from .trace import NotPointwise

register_backend("auto", auto_loop)
register_backend("cpp", named_loop("cpp"))
register_backend("triton", named_loop("triton"))

__all__ = ["NotPointwise"]
