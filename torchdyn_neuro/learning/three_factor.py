"""Three-factor learning: what pre and post have done, times what the network is told."""

import math

import torch
from torch import Tensor, nn

from ..core.checks import one_of, positive_number
from ..core.dynamics import Dynamics
from ..core.state import widen
from .forward import ForwardInTime, Piece, Sequence
from .jacobian import Jacobian, Source


class ThreeFactor(ForwardInTime):
    r"""Three factors: an eligibility that pre and post leave at each synapse, times an error that is broadcast.

    .. math:: \Delta W_{ji} = \sum_t L^t_j\, E^t_{ji}, \qquad E^t_{ji} = e^{-dt/\tau_e} E^{t-1}_{ji} + H^t_{ji}, \qquad
        L^t_j = \sum_k B_{jk} \frac{\partial E}{\partial y^t_k}

    with one of two coincidences of pre and post,

    .. math:: H_{ji} = \psi_j\, \bar x_i \quad (\text{``hebbian''}), \qquad
        H_{ji} = A_+ S_j\, \bar x_i - A_-\, x_i\, \bar y_j \quad (\text{``stdp''})

    where :math:`\psi` is the slope of the output of a neuron in its input at the same step (with the surrogate of the
    spike), :math:`\bar x` and :math:`\bar y` are traces of pre- and postsynaptic activity, each read before the
    activity of the step is added under ``"stdp"`` (and behind it under ``"hebbian"``), and B is drawn once. It is no
    gradient, but a change that the optimizer takes for one. Hidden layers learn the weights of their linear layers;
    biases too under ``"hebbian"``, while those under ``"stdp"`` and parameters of cells stay, for which there is no
    presynaptic factor. The last layer learns from its error as in :class:`EProp`.

    Args:
        coincidence: ``"hebbian"`` or ``"stdp"``.
        tau_pre: time constant of the presynaptic trace, ms.
        tau_post: time constant of the postsynaptic trace, ms.
        tau_e: time constant of the eligibility, ms.
        A_plus: amplitude of potentiation.
        A_minus: amplitude of depression.
        block: steps that are worked on at once; the result does not depend on it.

    Shape:
        - as :class:`LearningMethod`

    Raises:
        TypeError, ValueError: for models as :class:`EProp`; for time constants that are not positive.

    Source: Fremaux & Gerstner (2016), Front. Neural Circuits 9:85; the Hebbian coincidence is that of Zenke & Ganguli
    (2018), Neural Comput. 30:1514.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 8), tdn.LIF(), nn.Linear(8, 2), tdn.LeakyIntegrator())
        >>> method, loss = ThreeFactor(), tdn.losses.MembraneCrossEntropy()
        >>> method.prepare(model)
        >>> method(model, torch.rand(50, 4, 3), torch.tensor([0, 1, 0, 1]), loss).loss.backward()
        >>> model[0].weight.grad.shape
        torch.Size([8, 3])
    """

    def __init__(
        self,
        coincidence: str = "hebbian",
        *,
        tau_pre: float = 20.0,
        tau_post: float = 20.0,
        tau_e: float = 20.0,
        A_plus: float = 1.0,
        A_minus: float = 1.0,
        block: int = 64,
    ):
        super().__init__(error="running", block=block)
        self.coincidence = one_of("ThreeFactor", "coincidence", coincidence, "hebbian", "stdp")
        self.tau_pre = positive_number("ThreeFactor", "tau_pre", tau_pre, unit="ms")
        self.tau_post = positive_number("ThreeFactor", "tau_post", tau_post, unit="ms")
        self.tau_e = positive_number("ThreeFactor", "tau_e", tau_e, unit="ms")
        self.A_plus = positive_number("ThreeFactor", "A_plus", A_plus, zero=True)
        self.A_minus = positive_number("ThreeFactor", "A_minus", A_minus, zero=True)

    def prepare(self, model: nn.Module) -> None:
        super().prepare(model)
        self.draw(model, learned=False, towards="neurons")

    def go_on(self, sequence: Sequence, piece: Piece) -> None:
        self.learn_readout(sequence, piece)
        for index in sequence.hidden:
            stage, run = sequence.stages[index], piece.runs[index]
            dt = next((part.dt for part in stage.inner if isinstance(part, Dynamics)), 1.0)
            incoming = {source: pre for source, pre in stage.incoming(run).items() if pre is not None}
            if self.coincidence == "hebbian":
                slopes = stage.linearized(run, piece.states[index]).direct
            post: dict[Source, Tensor] = {}
            pre: dict[Source, Tensor | None] = {}
            for source, x in incoming.items():
                decay = math.exp(-dt / self.tau_pre)
                if self.coincidence == "hebbian":
                    if source in slopes:
                        post[source] = slopes[source].expand_as(run.y)
                    pre[source] = _trace(sequence, (index, source, "pre"), x, decay, before=False)
                    continue
                if stage.linear[source].bias is not None:
                    x = torch.cat([x[..., :-1], torch.zeros_like(x[..., -1:])], -1)
                y = widen(run.walk.y)
                post[source, "plus"] = self.A_plus * y
                pre[source, "plus"] = _trace(sequence, (index, source, "pre"), x, decay, before=True)
                decay = math.exp(-dt / self.tau_post)
                post[source, "minus"] = -self.A_minus * _trace(sequence, (index, source, "post"), y, decay, before=True)
                pre[source, "minus"] = x
            if not post:
                continue
            whole = _leaky(post, math.exp(-dt / self.tau_e))
            signal = piece.slope @ self.drawn(index).T.to(piece.slope.dtype)
            sums = sequence.traces[index].advance(whole, signal, {key: pre[key] for key in pre if key in post})
            stage.hand_over(self._changes(sums), sequence.gradients)

    def _changes(self, sums: dict[Source, Tensor]) -> dict[Source, Tensor]:
        if self.coincidence == "hebbian":
            return sums
        both: dict[Source, Tensor] = {}
        for (source, _), change in sums.items():
            both[source] = both[source] + change if source in both else change
        return both


def _leaky(post: dict[Source, Tensor], decay: float) -> Jacobian:
    """The eligibility as one leaky value that coincidences are added to."""
    first = next(iter(post.values()))
    leak = first.new_full((*first.shape[:2], 1), decay)
    return Jacobian(1, {(0, 0): leak}, {0: leak}, {source: {0: value} for source, value in post.items()}, dict(post))


def _trace(sequence: Sequence, key: Source, activity: Tensor, decay: float, *, before: bool) -> Tensor:
    """The trace of an activity [T, B, N] in each step, before the activity of the step is added or behind it."""
    value, seen = sequence.more.get(key), []
    value = torch.zeros_like(activity[0]) if value is None else value
    for now in activity.unbind(0):
        value = decay * value
        after = value + now
        seen.append(value if before else after)
        value = after
    sequence.more[key] = value
    return torch.stack(seen)
