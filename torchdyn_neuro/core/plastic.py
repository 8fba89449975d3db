"""A connection whose weights change while the network runs."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from .checks import one_of
from .dynamics import Dynamics
from .quantities import Parametrized
from .state import Shared, State, register_state, widen


@register_state
class RowPlasticState(NamedTuple):
    """weight: one for each row of the batch, [B, post, pre]; traces: of the rule."""

    weight: Tensor
    traces: State = ()


@register_state
class SharedPlasticState(NamedTuple):
    """weight: one for the whole batch, [post, pre]; traces: of the rule, for each row."""

    weight: Shared
    traces: State = ()


class LearningRule(Parametrized):
    """Base of the learning rules: how the weights of a connection follow what is active on either side.

    A subclass writes :meth:`update` for one row of the batch: a connection with weights per row, or one for all, runs
    it over the rows.
    """

    def initial_traces(self, pre: Tensor, post: Tensor) -> State:
        """What the rule remembers of each row before the first step, with the batch in front: nothing in this base."""
        return ()

    def update(self, weight: Tensor, pre: Tensor, post: Tensor, traces: State, dt: float) -> tuple[Tensor, State]:
        """The weights and the traces after a step.

        Args:
            weight: [post, pre].
            pre: activity of the presynaptic neurons in the step, [pre].
            post: activity of the postsynaptic neurons, [post].
            traces: what the rule remembers.
            dt: length of the step, ms.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define update(weight, pre, post, traces, dt)")


class Plastic(Dynamics):
    r"""A connection with a learning rule: its weights are a state, which the rule moves on after every step.

    .. math:: y = W(t)\, x, \qquad W(t + dt) = \mathrm{rule}(W(t), x, \mathrm{post})

    The postsynaptic activity is that of the neurons behind: of the cell in a :class:`Network`, of the next neurons in a
    :class:`Chain`, behind a synapse or not. By itself, or in an ``nn.Sequential``, it would never learn: ``forward``
    and ``scan`` raise, and a loop of one's own calls :meth:`step` and :meth:`learn`. The module's own weight is where
    the state starts; it is never changed by running, and gradients reach it through the states. :meth:`commit` writes a
    state back.

    Args:
        connection: a layer with a ``weight`` [post, pre], such as ``nn.Linear``.
        rule: how its weights change.
        weights: ``"rows"``: each row of the batch has its own; ``"mean"`` or ``"sum"``: one for all rows, which takes
            the mean or the sum of the changes that they ask for.
        dt: time step, ms, that of the neurons behind.

    Shape:
        - input: [B, pre] activity
        - output: [B, post] current

    Raises:
        TypeError: if the connection has no weight of its own or the rule is none.
        ValueError: if the weight has other than two axes, or ``weights`` is none of the three; for frames of another
            width; from ``forward`` and
            ``scan`` of the connection alone.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> plastic = tdn.Plastic(nn.Linear(3, 2, bias=False), tdn.Hebbian(eta=0.1))
        >>> y, state = tdn.Chain(plastic, tdn.LeakyIntegrator()).scan(torch.ones(10, 4, 3))
        >>> state[0].weight.shape
        torch.Size([4, 2, 3])
    """

    pointwise = False

    def __init__(self, connection: nn.Module, rule: LearningRule, *, weights: str = "rows", dt: float = 1.0):
        super().__init__(dt=dt)
        weight = getattr(connection, "weight", None)
        if not isinstance(weight, Tensor) or isinstance(connection, Dynamics):
            raise TypeError(
                f"Plastic: expected a layer with a weight, got {type(connection).__name__}; pass e.g. nn.Linear(8, 4)"
            )
        if connection._parameters.get("weight") is None:
            raise TypeError(
                f"Plastic: expected a layer whose weight is a parameter, got {type(connection).__name__}, whose "
                "weight follows from another (dale, sparse, weight_norm, pruning), past which a rule would learn; pass "
                "nn.Linear"
            )
        if weight.ndim != 2:
            raise ValueError(f"Plastic: expected a weight [post, pre], got shape {tuple(weight.shape)}; use nn.Linear")
        if not isinstance(rule, LearningRule):
            raise TypeError(f"Plastic: expected a learning rule, got {type(rule).__name__}; pass e.g. Hebbian()")
        self.connection = connection
        self.rule = rule
        self.weights = weights

    @property
    def weights(self) -> str:
        """Whose weights they are: ``"rows"``, ``"mean"`` or ``"sum"``."""
        return self._weights

    @weights.setter
    def weights(self, weights: str) -> None:
        self._weights = one_of("Plastic", "weights", weights, "rows", "mean", "sum")

    def initial_state(self, x_t: Tensor) -> RowPlasticState | SharedPlasticState:
        weight = widen(self.connection.weight)
        if x_t.ndim != 2 or x_t.shape[1] != weight.shape[1]:
            raise ValueError(
                f"Plastic: expected frames [B, {weight.shape[1]}], got shape {tuple(x_t.shape)}; flatten the neurons "
                "into one axis, and give a connection with as many inputs"
            )
        pre = widen(x_t)
        post = pre.new_zeros(*pre.shape[:-1], weight.shape[0])
        traces = self.rule.initial_traces(pre, post)
        if self.weights != "rows":
            return SharedPlasticState(weight, traces)
        # Memory of its own for each row, without which no tangent can be written beside it.
        return RowPlasticState(weight.expand(x_t.shape[0], *weight.shape).clone(), traces)

    def check_input(self, x: State) -> None:
        """Raise: whoever runs a whole sequence of it alone would get weights that never change."""
        raise ValueError(
            "Plastic: expected neurons behind it, from which it learns, got a call of its own, in which its weights "
            "would stay; put it and the neurons into one Chain, make it the connection of a Network, or run step(x_t, "
            "state) and learn(pre, post, state) by hand"
        )

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """The current of a step; the weights stay, until :meth:`learn` tells what it did to the neurons behind."""

        def connect(weight: Tensor, x: Tensor) -> Tensor:
            return functional_call(self.connection, {"weight": weight}, (x,))

        rows = 0 if self.weights == "rows" else None
        y_t = vmap(connect, in_dims=(rows, 0))(state.weight, x_t.to(state.weight.dtype))
        return y_t.to(x_t.dtype), state

    def learn(self, pre: Tensor, post: Tensor, state: State) -> State:
        """The state after a step in which ``pre`` [B, pre] led to ``post`` [B, post]."""
        if post.shape[-1] != state.weight.shape[-2]:
            raise ValueError(
                f"Plastic: expected the activity of {state.weight.shape[-2]} neurons behind the connection, got "
                f"{post.shape[-1]}; let nothing between change their number"
            )

        def update(weight: Tensor, pre: Tensor, post: Tensor, traces: State) -> tuple[Tensor, State]:
            return self.rule.update(weight, pre, post, traces, self.dt)

        rows = 0 if self.weights == "rows" else None
        pre, post = pre.to(state.weight.dtype), post.to(state.weight.dtype)
        weight, traces = vmap(update, in_dims=(rows, 0, 0, 0))(state.weight, pre, post, state.traces)
        if self.weights != "rows":
            change = weight - state.weight
            weight = state.weight + (change.mean(0) if self.weights == "mean" else change.sum(0))
        return type(state)(weight, traces)

    @torch.no_grad()
    def commit(self, state: State) -> None:
        """Make the weights of a state those of the module; of weights per row, their mean."""
        self.connection.weight.copy_(state.weight.mean(0) if self.weights == "rows" else state.weight)

    def extra_repr(self) -> str:
        return f"weights={self.weights!r}, {super().extra_repr()}"
