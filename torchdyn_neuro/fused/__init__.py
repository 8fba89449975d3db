"""The fused time loop: a step is written once in torch and runs as one loop over time, forward and backward."""

from ..core.time_loop import register_backend
from .backends import auto_fuses, auto_loop, named_fuses, named_loop
from .record.trace import NotPointwise

register_backend("auto", auto_loop, auto_fuses)
register_backend("cpp", named_loop("cpp"), named_fuses("cpp"))
register_backend("triton", named_loop("triton"), named_fuses("triton"))

__all__ = ["NotPointwise"]
