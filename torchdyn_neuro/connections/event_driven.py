"""What layers have in common that touch the weights of active inputs only."""

import torch
from torch import Tensor, nn

from ..core.checks import fraction


class EventDriven:
    """Base beside one of torch's layers: how active an input may be, and weights that lie as their kernels read them.

    A subclass writes :meth:`lay_out`, and calls :meth:`drive_by_events` at the end of its constructor.
    """

    weight: nn.Parameter
    most_active: float

    @staticmethod
    def lay_out(weight: Tensor) -> Tensor:
        """The same values and shape; what one input sends to its outputs is contiguous."""
        raise NotImplementedError

    @classmethod
    def sharing(cls, layer: nn.Module, most_active: float) -> "EventDriven":
        """A layer of this class with the very parameters (and hooks) of ``layer``."""
        twin = cls.__new__(cls)
        twin.__dict__ = dict(layer.__dict__)
        twin.drive_by_events(most_active)
        return twin

    def drive_by_events(self, most_active: float) -> None:
        """Set ``most_active`` and lay out the weight."""
        self.most_active = fraction(type(self).__name__, "most_active", most_active, of="the inputs")
        with torch.no_grad():
            self.weight.data = self.lay_out(self.weight.data)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, most_active={self.most_active:g}"
