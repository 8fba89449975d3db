"""A connection whose weights change while the network runs."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .checks import one_of
from .constrained import Constrained
from .context import real_steps
from .dynamics import Dynamics
from .learning_rule import Activity, LearningRule
from .repeat import is_recorded
from .state import Shared, State, register_state, widen
from .weighted import Weighted


@register_state
class RowPlasticState(NamedTuple):
    """weight: one for each row of the batch, [B, post, pre, *] or [B, synapses]; traces: of the rule."""

    weight: Tensor
    traces: State = ()


@register_state
class SharedPlasticState(NamedTuple):
    """weight: one for the whole batch, [post, pre, *] or [synapses]; traces: of the rule, for each row."""

    weight: Shared
    traces: State = ()


class Plastic(Dynamics):
    r"""A connection with a learning rule: its weights are a state, which the rule moves on after every step.

    .. math:: y = W(t)\, x, \qquad W(t + dt) = \mathrm{rule}(W(t), x, \mathrm{post})

    The postsynaptic activity is that of the neurons behind: of the cell in a :class:`Network`, of the next neurons in a
    :class:`Chain`, behind a synapse or not. By itself, or in an ``nn.Sequential``, it would never learn: ``forward``
    and ``scan`` raise, and a loop of one's own calls :meth:`step` and :meth:`learn`. The module's own weight is where
    the state starts; it is never changed by running, and gradients reach it through the states. :meth:`commit` writes a
    state back. A rule that reads a neuromodulator takes it from the input of the container, a :class:`Modulated`.

    Args:
        connection: a layer that is linear in its ``weight`` [post, pre, \*]: ``nn.Linear``, a convolution, or one of
            either thinned out by :func:`sparse`, whose absent weights stay absent; or a :class:`SparseLinear`, whose
            weights [synapses] are one for each synapse.
        rule: how its weights change.
        weights: ``"rows"``: each row of the batch has its own; ``"mean"`` or ``"sum"``: one for all rows, which takes
            the mean or the sum of the changes that they ask for.
        frozen: if true, neither weights nor traces move.
        dt: time step, ms, that of the neurons behind.

    Shape:
        - input: [B, pre, \*] activity
        - output: [B, post, \*] current

    Raises:
        TypeError: if the connection has no weight [post, pre, \*] of its own or the rule is none; for frames of
            another type.
        ValueError: if ``weights`` is none of the three; for frames of another width; from ``forward`` and ``scan`` of
            the connection alone.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> plastic = tdn.Plastic(nn.Linear(3, 2, bias=False), tdn.Hebbian(eta=0.1))
        >>> y, state = tdn.Chain(plastic, tdn.LeakyIntegrator()).scan(torch.ones(10, 4, 3))
        >>> state[0].weight.shape
        torch.Size([4, 2, 3])
    """

    pointwise = None

    def __init__(
        self,
        connection: nn.Module,
        rule: LearningRule,
        *,
        weights: str = "rows",
        frozen: bool = False,
        dt: float = 1.0,
    ):
        super().__init__(dt=dt)
        Weighted(connection).check()
        if not isinstance(rule, LearningRule):
            raise TypeError(f"Plastic: expected a learning rule, got {type(rule).__name__}; pass e.g. Hebbian()")
        self.connection = connection
        self.rule = rule
        self.weights = weights
        self.frozen = frozen

    @property
    def weights(self) -> str:
        """Whose weights they are: ``"rows"``, ``"mean"`` or ``"sum"``."""
        return self._weights

    @weights.setter
    def weights(self, weights: str) -> None:
        self._weights = one_of("Plastic", "weights", weights, "rows", "mean", "sum")

    @property
    def modulated(self) -> bool:
        """Whether the rule reads a neuromodulator."""
        return self.rule.modulated

    def initial_state(self, x_t: Tensor) -> RowPlasticState | SharedPlasticState:
        weighted = Weighted(self.connection)
        weighted.check()
        weight, rows = widen(self.connection.weight), self.weights == "rows"
        if not rows and not self.frozen and real_steps() is not None:
            raise ValueError(
                f"Plastic: expected weights='rows' for padded sequences, got {self.weights!r}: the padding of some "
                "rows would move the weights of all; or make batches of one length"
            )
        inputs = weighted.inputs(weight)
        if inputs is not None and (x_t.ndim != 2 or x_t.shape[1] != inputs):
            raise ValueError(
                f"Plastic: expected frames [B, {inputs}], got shape {tuple(x_t.shape)}; flatten the neurons "
                "into one axis, and give a connection with as many inputs"
            )
        if x_t.is_floating_point() and widen(x_t).dtype != weight.dtype:
            raise TypeError(
                f"Plastic: expected frames in {weight.dtype} to match the weights, got {x_t.dtype}; convert the module "
                "(module.double(), module.float()) or the input"
            )
        if rows:
            # Memory of its own for each row, without which no tangent can be written beside it.
            weight = weight.expand(x_t.shape[0], *weight.shape).clone()
        pre = widen(x_t).to(weight.dtype)
        with torch.no_grad():
            post = torch.zeros_like(weighted.current(weight, torch.zeros_like(pre), rows, hooks=False))
        self._check_quantities(pre, post)
        activity = Activity(torch.zeros_like(pre), post, weight.detach(), connection=weighted, weights=self.weights)
        traces = self.rule.initial_traces(activity, self.dt)
        return RowPlasticState(weight, traces) if rows else SharedPlasticState(weight, traces)

    def _check_quantities(self, pre: Tensor, post: Tensor) -> None:
        """Raise for values of a rule that fit the neurons on neither side."""
        for rule in self.rule.modules():
            for name, quantity in rule.named_children():
                if not isinstance(quantity, Constrained) or quantity.start.numel() == 1:
                    continue
                shape, behind, before = (tuple(size) for size in (quantity.start.shape, post.shape[1:], pre.shape[1:]))
                if not (_broadcasts(shape, behind) or _broadcasts(shape, before) or shape == behind[:1]):
                    raise ValueError(
                        f"Plastic: expected {name} of {type(rule).__name__} to be one value, or one for each neuron, "
                        f"{behind} behind the connection and {before} before it, got shape {shape}; pass as many as "
                        "there are neurons"
                    )

    def check_input(self, x: State) -> None:
        """Raise: whoever runs a whole sequence of it alone would get weights that never change."""
        raise ValueError(
            "Plastic: expected neurons behind it, from which it learns, got a call of its own, in which its weights "
            "would stay; put it and the neurons into one Chain, make it the connection of a Network, or run step(x_t, "
            "state) and learn(pre, post, state) by hand"
        )

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """The current of a step; the weights stay, until :meth:`learn` tells what it did to the neurons behind."""
        weighted = Weighted(self.connection)
        if not is_recorded():
            self._check_frame(weighted, x_t, state.weight)
        y_t = weighted.current(state.weight, x_t.to(state.weight.dtype), self.weights == "rows")
        return y_t.to(x_t.dtype), state

    def learn(
        self, pre: Tensor, post: Tensor, state: State, *, neurons: State = (), modulator: Tensor | None = None
    ) -> State:
        """The state after a step in which ``pre`` [B, pre] led to ``post`` [B, post].

        Args:
            pre: what came in.
            post: what the neurons behind put out.
            state: the state that :meth:`step` returned.
            neurons: the state of the neurons behind after the step, for rules that read their potential.
            modulator: the neuromodulator, [B], for rules that read it.
        """
        weight, traces = state
        weighted, empty = Weighted(self.connection), False
        if not is_recorded():
            self._check_activity(weighted, pre, post, modulator, weight)
            empty = not post.shape[0]
        if self.frozen or empty:
            return state  # of an empty batch there is neither a mean nor a change
        if self.modulated and modulator is None:
            raise ValueError(
                f"Plastic: expected a neuromodulator for {type(self.rule).__name__}, got none; pass "
                "tdn.Modulated(x, modulator) to the container, or modulator= to learn"
            )
        pre, post = pre.to(weight.dtype), post.to(weight.dtype)
        modulator = None if modulator is None else modulator.to(weight.dtype)
        activity = Activity(pre, post, weight, neurons, modulator, weighted, self.weights)
        weight, traces = self.rule.update(weight, activity, traces, self.dt)
        return type(state)(activity.present(self.rule.bound(weight)), traces)

    def _check_activity(
        self, weighted: Weighted, pre: Tensor, post: Tensor, modulator: Tensor | None, weight: Tensor
    ) -> None:
        """Raise for activity of other neurons or rows than the weights have."""
        neurons = weighted.outputs(weight, self.weights == "rows")
        if post.shape[1] != neurons:
            raise ValueError(
                f"Plastic: expected the activity of {neurons} neurons behind the connection, got {post.shape[1]}; let "
                "nothing between change their number"
            )
        self._check_frame(weighted, pre, weight)
        given = (post.shape[:1], *(() if modulator is None else (modulator.shape,)))
        if any(shape != pre.shape[:1] for shape in given):
            raise ValueError(
                f"Plastic: expected post [{pre.shape[0]}, *] and a modulator [{pre.shape[0]}], of as many rows as "
                f"pre, got {' and '.join(str(tuple(shape)) for shape in given)}; give one of each for each row"
            )

    def _check_frame(self, weighted: Weighted, x_t: Tensor, weight: Tensor) -> None:
        """Raise for a frame that would meet the weights by being repeated."""
        rows, inputs = weight.shape[0] if self.weights == "rows" else x_t.shape[0], weighted.inputs(weight)
        if x_t.shape[0] != rows or (inputs is not None and x_t.shape[1:] != (inputs,)):
            wanted = f"[{rows}, {'*' if inputs is None else inputs}]"
            raise ValueError(
                f"Plastic: expected frames {wanted} for this state, got shape {tuple(x_t.shape)}; pass frames of the "
                "batch that the state began with"
            )

    @torch.no_grad()
    def commit(self, state: State) -> None:
        """Make the weights of a state those of the module; of weights per row, their mean.

        Raises:
            ValueError: if the weights of the state are not of this connection, or of an empty batch.
        """
        parameter, rows = Weighted(self.connection).parameter, self.weights == "rows"
        if state.weight.shape[rows:] != parameter.shape or state.weight.ndim != parameter.ndim + rows:
            wanted = (*("B",) * rows, *parameter.shape)
            raise ValueError(
                f"Plastic: expected weights [{', '.join(map(str, wanted))}] in the state, for "
                f"weights={self.weights!r}, got shape {tuple(state.weight.shape)}; pass what scan() of this very "
                "connection returned"
            )
        if not state.weight.shape[0]:
            raise ValueError(
                "Plastic: expected the state of a batch with rows, got one without; there is nothing to write"
            )
        parameter.copy_(state.weight.mean(0) if rows else state.weight)

    def extra_repr(self) -> str:
        frozen = "frozen, " if self.frozen else ""
        return f"weights={self.weights!r}, {frozen}{super().extra_repr()}"


def _broadcasts(shape: tuple[int, ...], frame: tuple[int, ...]) -> bool:
    """Whether values of a shape meet frames [B, \\*] by repeating theirs."""
    pairs = zip(shape[::-1], frame[::-1], strict=False)
    return len(shape) <= len(frame) and all(size in (1, whole) for size, whole in pairs)
