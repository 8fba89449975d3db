"""Synaptic receptors: what their channels pull the membrane to, how fast they gate, what blocks them."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ..core.quantities import Constrained, NonNegative, Parametrized, Positive, Quantity, Real
from ..core.state import State


def magnesium_block(v: Tensor, magnesium: Tensor) -> Tensor:
    r"""The share of NMDA channels that magnesium leaves open, :math:`1 / (1 + \frac{[Mg]}{3.57} e^{-0.062 v})`.

    Args:
        v: membrane potential, mV.
        magnesium: extracellular concentration, mM.

    Source: Jahr & Stevens (1990), J. Neurosci. 10:3178.

    Example:
        >>> magnesium_block(torch.tensor([-70.0, 0.0]), torch.tensor(1.0))
        tensor([0.0445, 0.7812])
    """
    # As a logistic function it is finite, with its gradient, at any potential.
    return torch.sigmoid(0.062 * v - torch.log(magnesium / 3.57))


class Receptor(Parametrized):
    r"""One kind of receptor, for synapses and conductance-based neurons alike.

    .. math:: I = g\, B(v)\, (E_{rev} - v)

    Here :math:`g(t)` is the gated conductance, which a synapse computes from spikes with ``tau_rise`` and
    ``tau_decay``, and :math:`B` the magnesium block, 1 without one. A receptor holds no state.

    Args:
        E_rev: reversal potential, mV.
        tau_decay: time constant of closing, ms.
        tau_rise: time constant of opening, ms; ``None`` opens at once.
        magnesium: concentration that blocks the channel (:func:`magnesium_block`), mM; ``None`` for no block.
        name: what it is called in recordings and messages.

    Raises:
        ValueError: if a time constant is not positive or the concentration negative.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5.8; Gerstner et al. (2014), Neuronal Dynamics, ch.
    3.1. The default of ``tau_decay`` is a round value.
    """

    def __init__(
        self,
        E_rev: Quantity,
        *,
        tau_decay: Quantity = 5.0,
        tau_rise: Quantity | None = None,
        magnesium: Quantity | None = None,
        name: str = "receptor",
    ):
        super().__init__()
        self.name = name
        self.E_rev = Real(E_rev, unit="mV")
        self.tau_decay = Positive(tau_decay, unit="ms")
        self.tau_rise = None if tau_rise is None else Positive(tau_rise, unit="ms")
        self.magnesium = None if magnesium is None else NonNegative(magnesium, unit="mM")

    def conductance(self, g: Tensor, v: Tensor) -> Tensor:
        """What of the gated conductance ``g`` is open at the potential ``v``."""
        return g if self.magnesium is None else g * magnesium_block(v, self.magnesium())

    def extra_repr(self) -> str:
        return f"name={self.name!r}"


class AMPA(Receptor):
    """Fast excitation: 0 mV, opens at once, closes with 2 ms.

    Args:
        E_rev: reversal potential, mV.
        tau_decay: time constant of closing, ms.
        tau_rise: time constant of opening, ms; ``None`` opens at once.
        name: what it is called in recordings and messages.

    Source: Wang (2002), Neuron 36:955.
    """

    def __init__(
        self,
        E_rev: Quantity = 0.0,
        *,
        tau_decay: Quantity = 2.0,
        tau_rise: Quantity | None = None,
        name: str = "AMPA",
    ):
        super().__init__(E_rev, tau_decay=tau_decay, tau_rise=tau_rise, name=name)


class NMDA(Receptor):
    """Slow excitation under the magnesium block: 0 mV, opens with 2 ms, closes with 100 ms.

    The gating of the source saturates; here, as for every receptor, it is linear in the spikes.

    Args:
        E_rev: reversal potential, mV.
        tau_decay: time constant of closing, ms.
        tau_rise: time constant of opening, ms; ``None`` opens at once.
        magnesium: concentration that blocks the channel, mM; ``None`` for no block.
        name: what it is called in recordings and messages.

    Source: Wang (2002), Neuron 36:955; Jahr & Stevens (1990), J. Neurosci. 10:3178.
    """

    def __init__(
        self,
        E_rev: Quantity = 0.0,
        *,
        tau_decay: Quantity = 100.0,
        tau_rise: Quantity | None = 2.0,
        magnesium: Quantity | None = 1.0,
        name: str = "NMDA",
    ):
        super().__init__(E_rev, tau_decay=tau_decay, tau_rise=tau_rise, magnesium=magnesium, name=name)


class GABA_A(Receptor):  # noqa: N801 - the name of the receptor
    """Fast inhibition: -70 mV, opens at once, closes with 5 ms.

    Args:
        E_rev: reversal potential, mV.
        tau_decay: time constant of closing, ms.
        tau_rise: time constant of opening, ms; ``None`` opens at once.
        name: what it is called in recordings and messages.

    Source: Wang (2002), Neuron 36:955.
    """

    def __init__(
        self,
        E_rev: Quantity = -70.0,
        *,
        tau_decay: Quantity = 5.0,
        tau_rise: Quantity | None = None,
        name: str = "GABA_A",
    ):
        super().__init__(E_rev, tau_decay=tau_decay, tau_rise=tau_rise, name=name)


class GABA_B(Receptor):  # noqa: N801 - the name of the receptor
    """Slow inhibition through potassium: -95 mV, opens with 50 ms, closes with 200 ms.

    Args:
        E_rev: reversal potential, mV.
        tau_decay: time constant of closing, ms.
        tau_rise: time constant of opening, ms; ``None`` opens at once.
        name: what it is called in recordings and messages.

    Source: Destexhe, Mainen & Sejnowski (1994), J. Comput. Neurosci. 1:195, whose receptor has two states, opens with
    1 / (alpha + beta) = 48 ms under 1 mM of transmitter and closes with 1 / beta = 213 ms; rounded.
    """

    def __init__(
        self,
        E_rev: Quantity = -95.0,
        *,
        tau_decay: Quantity = 200.0,
        tau_rise: Quantity | None = 50.0,
        name: str = "GABA_B",
    ):
        super().__init__(E_rev, tau_decay=tau_decay, tau_rise=tau_rise, name=name)


class ReceptorSet(nn.Module):
    """The receptors of a membrane, in the order in which their conductances come.

    One set may be handed to a synapse, which turns spikes into conductances, and to the neuron that they feed.

    Args:
        receptors: one or more receptors.

    Raises:
        TypeError: if something in it is no receptor and hence has no reversal potential.
        ValueError: if it is empty.

    Example:
        >>> ReceptorSet([AMPA(), NMDA(), GABA_A()]).names
        ('AMPA', 'NMDA', 'GABA_A')
    """

    def __init__(self, receptors: Iterable[Receptor]):
        super().__init__()
        receptors = list(receptors)
        if not receptors:
            raise ValueError("ReceptorSet: expected at least one receptor, got none; pass for example [AMPA()]")
        for receptor in receptors:
            if not isinstance(receptor, Receptor):
                raise TypeError(
                    "ReceptorSet: expected receptors, which have a reversal potential, got "
                    f"{type(receptor).__name__}; pass AMPA(), GABA_A(), ... or Receptor(E_rev)"
                )
        self.receptors = nn.ModuleList(receptors)

    @classmethod
    def of(cls, receptors: Iterable[Receptor]) -> "ReceptorSet":
        """The receptors as a set; a set stays the one it is, so that a synapse and a neuron can share it."""
        return receptors if isinstance(receptors, cls) else cls(receptors)

    def __len__(self) -> int:
        return len(self.receptors)

    def __iter__(self) -> Iterator[Receptor]:
        return iter(self.receptors)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the receptors, in order."""
        return tuple(receptor.name for receptor in self)

    def membrane_quantities(self) -> Iterator[tuple[str, Constrained]]:
        """What a membrane uses of the receptors; their time constants are the synapse's."""
        for index, receptor in enumerate(self):
            yield f"{index}.E_rev", receptor.E_rev
            if receptor.magnesium is not None:
                yield f"{index}.magnesium", receptor.magnesium

    def total(self, g: Sequence[Tensor], v: Tensor) -> tuple[Tensor, Tensor]:
        r"""The open conductance :math:`\sum_r g_r B_r(v)` and its pull :math:`\sum_r g_r B_r(v) E_r`.

        Args:
            g: the gated conductance of each receptor, in order; a negative one counts as none.
            v: membrane potential, mV.
        """
        # Not a clamp, which passes no gradient at 0, where every silent synapse is.
        g = [torch.where(g_r < 0, torch.zeros_like(g_r), g_r) for g_r in g]
        open_ = [receptor.conductance(g_r, v) for receptor, g_r in zip(self, g, strict=True)]
        return sum(open_), sum(g_r * receptor.E_rev() for receptor, g_r in zip(self, open_, strict=True))

    def split(self, inputs: State, axis: int) -> tuple[Tensor, ...]:
        """The spikes or conductances of each receptor, from a tuple or from a tensor that holds them along ``axis``.

        With a single receptor, a tensor is what comes for it.
        """
        if not isinstance(inputs, Tensor):
            return inputs
        return (inputs,) if len(self) == 1 else inputs.unbind(axis)

    def check_conductances(self, owner: str, x: State) -> None:
        """Raise, in the name of ``owner``, if ``x`` does not hold one sequence per receptor, all of one shape."""
        expected = f"{owner}: expected one input [T, B, *] for each of {', '.join(self.names)}"
        if isinstance(x, tuple):
            shapes = [tuple(g.shape) if isinstance(g, Tensor) else type(g).__name__ for g in x]
            # Shapes of what is exported cannot be hashed.
            if len(x) != len(self) or any(shape != shapes[0] for shape in shapes):
                raise ValueError(f"{expected}, all of one shape, got {len(x)} of {shapes}; pass a tuple of them")
        elif isinstance(x, Tensor) and len(self) > 1 and (x.ndim < 3 or x.shape[2] != len(self)):
            raise ValueError(
                f"{expected}, got a tensor of shape {tuple(x.shape)}; pass a tuple of them, or a tensor "
                f"[T, B, {len(self)}, *] with the receptors on the axis behind the batch"
            )
