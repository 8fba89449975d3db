"""Local losses: every layer learns from a readout of its own."""

from torch import Tensor, nn

from .errors import Errors
from .forward import ForwardInTime, Piece, Sequence
from .jacobian import Jacobian
from .layers import Part
from .stages import Stage


class LocalLosses(ForwardInTime):
    r"""Every layer has a readout of its own, with fixed random weights, and learns to lower the loss of that alone.

    .. math:: \frac{d}{dW^l} E\bigl(\mathrm{readout}(G^l\, z^l), target\bigr)

    No gradient leaves a layer. Within it the eligibility runs forward as in :class:`EProp`; the local readout is that
    of the model behind its weights (a leaky integrator, say), and the last layer learns from the loss itself. For a
    layer without recurrent connections and a readout that is a linear filter the result is the gradient of the local
    loss.

    Args:
        error: ``"running"`` or ``"end"``, as in :class:`EProp`.
        block: steps that are worked on at once; the result does not depend on it.

    Shape:
        - as :class:`LearningMethod`

    Raises:
        TypeError, ValueError: as :class:`EProp`.

    Source: Kaiser, Mostafa & Neftci (2020), Front. Neurosci. 14:424 (DECOLLE; there the eligibility has no memory
    beyond the input traces, and the readout none).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 8), tdn.LIF(), nn.Linear(8, 8), tdn.LIF(), nn.Linear(8, 2))
        >>> method, loss = LocalLosses(), tdn.losses.EveryStep()
        >>> method.prepare(model)
        >>> method(model, torch.rand(50, 4, 3), torch.tensor([0, 1, 0, 1]), loss).loss.backward()
        >>> model[0].weight.grad.shape
        torch.Size([8, 3])
    """

    def prepare(self, model: nn.Module) -> None:
        super().prepare(model)
        self.draw(model, learned=False, towards="outputs")

    def go_on(self, sequence: Sequence, piece: Piece) -> None:
        readout = self.learn_readout(sequence, piece)
        behind = readout if sequence.hidden and sequence.linear_readout(piece.runs[-1]) else None
        if sequence.errors.at_end_only and sequence.hidden and behind is None:
            raise ValueError(
                "LocalLosses: expected a readout that is a linear filter, the same for all outputs, for an error that "
                'is only known at the end, got one that is not; pass error="running"'
            )
        for index in sequence.hidden:
            stage, run = sequence.stages[index], piece.runs[index]
            signal, through = self._local(sequence, index, run.y, direct=behind is None)
            jacobian = stage.linearized(run, piece.states[index])
            whole = jacobian if behind is None else jacobian.then(through)
            sums = sequence.traces[index].advance(whole, signal, stage.incoming(run))
            stage.hand_over(sums, sequence.gradients)

    def _local(self, sequence: Sequence, index: int, y: Tensor, direct: bool) -> tuple[Tensor | None, Jacobian]:
        """The learning signal of a layer, from its own readout, and the Jacobian of that."""
        if index not in sequence.more:
            sequence.more[index] = self._readout(sequence, index)
        local, errors, states = sequence.more[index]
        run, states = local.run(y, states)
        sequence.more[index] = local, errors, states
        slope, jacobian = errors.slope(run.y), local.linearized(run, states)
        if direct and slope is not None:
            slope = slope * jacobian.direct["input"]
        return None if slope is None else local.back(slope, run), jacobian

    def _readout(self, sequence: Sequence, index: int) -> tuple[Stage, Errors, None]:
        weights, last, errors = self.drawn(index), sequence.stages[-1], sequence.errors
        projection = nn.Linear(weights.shape[1], weights.shape[0], bias=False, device="meta")
        projection.weight = nn.Parameter(weights.detach(), requires_grad=False)
        local = Stage()
        local.projection, local.inner = Part("", projection, True), list(last.inner)
        local.close()
        own = Errors("LocalLosses", errors.loss, errors.target, errors.steps, errors.when, errors.lengths)
        return local, own, None
