"""E-prop: eligibility propagation."""

from torch import Tensor, nn

from ..core.checks import one_of
from ..core.state import widen
from .forward import ForwardInTime, Piece, Sequence
from .jacobian import Jacobian, Source


class EProp(ForwardInTime):
    r"""E-prop: a trace for each synapse runs forward, and a learning signal for each neuron turns it into a gradient.

    .. math:: \frac{dE}{dW_{ji}} \approx \sum_t L^t_j\, \bar e^t_{ji}, \qquad L^t_j = \sum_k B_{jk}
        \frac{\partial E}{\partial y^t_k}

    The eligibility :math:`e^t_{ji}` (:class:`Eligibility`) follows all ways inside the neuron, as its step has them:
    leak, adaptation, synapses in front, and the reset unless ``detach_reset`` cuts it. What is left out is the way
    through other neurons. With a readout that is a linear filter, the same for all outputs (``LeakyIntegrator``), the
    trace goes through that filter, :math:`\bar e`; with another one it does not. Memory is independent of the length
    of the sequence: [B, post, pre] for each value in the state of a neuron and of the readout.

    The learning signal of each layer:

    - ``"symmetric"``: B is the transposed readout. With several layers the error goes back through the layers at the
      same step (OSTL).
    - ``"random"``: B is drawn once; every layer has its own and gets the error of the outputs directly.
    - ``"adaptive"``: so at first, and then B is learned as the readout is; with weight decay the two become alike. The
      weights are parameters of the method: give them to the optimizer, after :meth:`prepare`.

    What is exact. For one hidden layer without recurrent connections, ``"symmetric"`` feedback and a linear readout,
    the result is the gradient, of the loss at the end (``error="end"``) or of the running one (see :class:`Errors`),
    which is not the same loss. It always is for the readout. With recurrent connections it is that of a network in
    which spikes that are fed back count as constants. A loss of every step needs no choice.

    Args:
        feedback: ``"symmetric"``, ``"random"`` or ``"adaptive"``.
        error: ``"running"`` or ``"end"``, which needs a linear readout, and one hidden layer or feedback that goes to
            every layer directly.
        block: steps that are worked on at once, fewer for less memory; the result does not depend on it.

    Shape:
        - as :class:`LearningMethod`

    Raises:
        TypeError, ValueError: in words, for models that are no stages of linear weights and neurons that act by
            themselves; for a loss that needs the whole sequence at once; for ``error="end"`` where it is not to be had.

    Source: Bellec et al. (2020), Nat. Commun. 11:3625; Bohnstingl et al. (2022), IEEE Trans. Neural Netw. Learn. Syst.
    34:8894 (several layers); Noekland (2016), NeurIPS 29 (random feedback to every layer); Kolen & Pollack (1994), IEEE
    ICNN (adaptive).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(
        ...     nn.Linear(3, 8), tdn.Recurrent(tdn.ALIF(), nn.Linear(8, 8)), nn.Linear(8, 2), tdn.LeakyIntegrator()
        ... )
        >>> method, loss = EProp(), tdn.losses.MembraneCrossEntropy()
        >>> method(model, torch.rand(50, 4, 3), torch.tensor([0, 1, 0, 1]), loss).loss.backward()
        >>> model[1].connection.weight.grad.shape
        torch.Size([8, 8])
    """

    def __init__(self, feedback: str = "symmetric", *, error: str = "running", block: int = 64):
        super().__init__(error=error, block=block)
        self.feedback = one_of("EProp", "feedback", feedback, "symmetric", "random", "adaptive")

    def prepare(self, model: nn.Module) -> None:
        super().prepare(model)
        if self.feedback != "symmetric":
            self.draw(model, learned=self.feedback == "adaptive", towards="neurons")

    def go_on(self, sequence: Sequence, piece: Piece) -> None:
        hidden = sequence.hidden
        readout = self._readout(sequence, piece)
        if not hidden:
            return
        behind = readout if sequence.linear_readout(piece.runs[-1]) else None
        self._check_end(sequence, behind)
        signal = piece.slope if behind is not None else _through(readout, piece.slope)
        for index in reversed(range(hidden[0], len(sequence.stages) - 1)):
            stage, run = sequence.stages[index], piece.runs[index]
            jacobian = stage.linearized(run, piece.states[index])
            if self.feedback != "symmetric":
                signal = None if piece.slope is None else piece.slope @ self.drawn(index).T.to(piece.slope.dtype)
            elif signal is not None:
                signal = sequence.stages[index + 1].back(signal, piece.runs[index + 1])
            if stage.learns:
                whole = jacobian if behind is None else jacobian.then(behind)
                sums = sequence.traces[index].advance(whole, signal, stage.incoming(run))
                stage.hand_over(sums, sequence.gradients)
            signal = _through(jacobian, signal)

    def _readout(self, sequence: Sequence, piece: Piece) -> Jacobian:
        if self.feedback != "adaptive":
            return self.learn_readout(sequence, piece)
        stage, run = sequence.stages[-1], piece.runs[-1]
        jacobian = stage.linearized(run, piece.states[-1])
        # As if each layer had weights to the readout, of which its feedback is the transpose.
        layers: dict[Source, int] = {("layer", index): index for index in sequence.hidden}
        for source in layers:
            jacobian.gain[source] = jacobian.gain.get("input", {})
            if "input" in jacobian.direct:
                jacobian.direct[source] = jacobian.direct["input"]
        incoming = stage.incoming(run)
        incoming |= {source: widen(piece.runs[index].y) for source, index in layers.items()}
        sums = sequence.traces[-1].advance(jacobian, piece.slope, incoming)
        for source, index in layers.items():
            if source in sums:
                sequence.gradients.add(self.drawn(index), sums.pop(source).T)
        stage.hand_over(sums, sequence.gradients)
        return jacobian

    def _check_end(self, sequence: Sequence, behind: Jacobian | None) -> None:
        if not sequence.errors.at_end_only:
            return
        if behind is None:
            raise ValueError(
                "EProp: expected a readout that is a linear filter, the same for all outputs, for an error that is "
                'only known at the end, got one that is not; pass error="running", or use LeakyIntegrator with '
                "MeanMembrane, LastMembrane or a loss of every step"
            )
        if self.feedback == "symmetric" and sequence.hidden[0] < len(sequence.stages) - 2:
            raise ValueError(
                "EProp: expected feedback that reaches every layer directly for an error that is only known at the end "
                'and several layers, got feedback="symmetric", which goes back through the layers at the same step; '
                'pass error="running", or feedback="random" or "adaptive"'
            )


def _through(jacobian: Jacobian, signal: Tensor | None) -> Tensor | None:
    """A signal at the output of a step, at its input: by the way that takes no time."""
    slope = jacobian.direct.get("input")
    return None if signal is None or slope is None else slope * signal
