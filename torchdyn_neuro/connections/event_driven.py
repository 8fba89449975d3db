"""What layers have in common that touch the weights of active inputs only."""

from torch import nn

from ..core.checks import fraction


class EventDriven:
    """Base beside one of torch's layers: how active an input may be.

    A subclass calls :meth:`drive_by_events` at the end of its constructor. Its parameters are those of torch's layer;
    a kernel that wants them in another order in memory copies them, at each call: no copy is ever out of date.
    """

    most_active: float

    @classmethod
    def sharing(cls, layer: nn.Module, most_active: float) -> "EventDriven":
        """A layer of this class with the very parameters (and hooks) of ``layer``."""
        twin = cls.__new__(cls)
        twin.__dict__ = dict(layer.__dict__)
        twin.drive_by_events(most_active)
        return twin

    def drive_by_events(self, most_active: float) -> None:
        """Set ``most_active``."""
        self.most_active = fraction(type(self).__name__, "most_active", most_active, of="the inputs")

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, most_active={self.most_active:g}"
