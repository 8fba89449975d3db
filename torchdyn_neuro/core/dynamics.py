"""The contract: an equation with recurrent state, as a module."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from .checks import one_of, positive_number
from .context import interceptor, without_drawing
from .inputs import check_tensor, refuse_scripting
from .quantities import Constrained, Parametrized
from .state import State, describe, first_frame, leaves, like_state, map_state, state_dtype
from .tensors import last_axes_fit
from .time_loop import run_time_loop

_AROUND = "_around"
"""The attribute in which a module keeps those that hold it."""
_MOST_AROUND = 16


class Dynamics(Parametrized):
    r"""One equation with recurrent state: the base of every neuron, synapse and container.

    A subclass writes :meth:`initial_state` and :meth:`step`; the base gives :meth:`scan` and :meth:`forward`.
    A module never keeps a state: it is passed in and handed back, so nothing is ever to be reset.

    .. math:: (y_t, s_t) = \mathrm{step}(x_t, s_{t-1})

    What the author of an equation may write, all of it; the names from the fourth on belong to :class:`ODE`, those from
    the tenth on to :class:`Spiking`:

    ====================  ==========================================================================
    ``initial_state``     the state before the first step; of an :class:`ODE` with ``**self.initial_terms(x_t)``, of a
                          :class:`Spiking` cell with ``**self.initial_terms(x_t, rest)``
    ``step``              the equation over one step; an :class:`ODE` has it already
    ``pointwise``         false where a step does not act on each element by itself
    ``derivative``        the rate of change; follows from ``relaxation`` where that is given
    ``relaxation``        steady state and time constant of each field
    ``flow``              the exact solution over a step
    ``diffusion``         the amplitude of white noise on each field
    ``observe``           what is put out; the first field unless overridden
    ``time_constants``    what an explicit integrator must resolve beside the quantities named ``tau``
    ``membrane``          how a current moves the potential, and from where an adaptation measures it
    ``arrive``            what spikes that come in do to the state
    ``on_spike``          what a spike does to the state beside the reset
    ====================  ==========================================================================

    The time of a step. An input of frame ``n`` is one of two things, and the output stands at the end of the step::

        a current, a conductance, a rate: held over the step   x[n] |======== step n ========|
        spikes that arrive: act at its end                          |-------- step n --------^ x[n]
        output and state                                            |-------- step n --------| y[n]

    (With ``scan(x, input="linear")`` a current goes in a straight line from frame to frame instead.) What a layer puts
    out at the end of its step ``n``, the next one takes as the input of its own step ``n``, whose clock so runs one
    step behind. In a loop, through a recurrent connection, ``y[n]`` enters step ``n + 1``.

    Args:
        dt: time step, ms.

    Shape:
        - input of ``forward`` and ``scan``: [T, B, \*]; of ``step``: [B, \*]
        - state: a named tuple of tensors [B, \*], float32 or wider; ``()`` for what is absent
        - output: as the input, in the input's dtype

    Raises:
        ValueError: if ``dt`` is not positive; from ``scan`` and ``forward`` for wrong shapes.
        TypeError: from ``scan`` and ``forward`` for an input that is not a floating-point tensor.
    """

    pointwise: ClassVar[bool | None] = True
    """Whether the step acts on each element by itself, so that it fuses; ``None`` where the parts decide.

    Only a class that says ``True`` is worth a warning when it does not fuse.
    """
    # Whether outputs are as wide as inputs, so that layers of a chain may run in one piece.
    _keeps_width: ClassVar[bool] = True

    __prepare_scriptable__ = refuse_scripting

    def __init__(self, *, dt: float = 1.0):
        super().__init__()
        vars(self)[_AROUND] = {}
        self.dt = positive_number(type(self).__name__, "dt", dt, unit="ms")

    def initial_state(self, x_t: State) -> State:
        """The state before the first step.

        Args:
            x_t: one frame [B, *], which gives shape, device and dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define initial_state(x_t)")

    def step(self, x_t: State, state: State) -> tuple[State, State]:
        """The equation over one time step: ``(x_t, state) -> (y_t, state)``; it changes neither argument."""
        raise NotImplementedError(f"{type(self).__name__} does not define step(x_t, state)")

    def scan(
        self,
        x: State,
        state: State = None,
        *,
        output_dtype: torch.dtype | None = None,
        input: str = "held",
    ) -> tuple[State, State]:
        """Run over a sequence, with the state explicit.

        Args:
            x: input [T, B, *].
            state: state to start from, in its own class or as plain tuples; the initial one if omitted.
            output_dtype: type of the outputs, for example ``torch.bool`` for spikes that are kept; that of the input
                if omitted. Types without fractions carry no gradient.
            input: ``"held"``: each frame over its step; ``"linear"``: a straight line from frame to frame, the last one
                held, so that a Runge-Kutta method keeps its order (for an :class:`ODE` or a ``Network`` of such
                without a delay; an exponential integrator holds the middle of the line).

        Returns:
            The outputs [T, B, *] and the last state. Two halves of a sequence, the state handed on, give bit for bit
            what the whole gives (of a held input).
        """
        x = self._read(x, axis=2)
        self.check_input(x)
        x_0 = first_frame(x)
        state = self.initial_state(x_0) if state is None else self.take_state(x_0, state)
        self._check_started(state)
        if one_of(type(self).__name__, "input", input, "held", "linear") == "linear":
            self._check_linear_input()
            return run_time_loop(self.around(LinearInput, LinearInput), _with_next(x), state, output_dtype)
        return run_time_loop(self, x, state, output_dtype)

    def forward(self, x: State) -> State:
        """Run over a sequence [T, B, *] from the initial state: a pure function of the sequence."""
        stand_in = interceptor()
        return self.scan(x)[0] if stand_in is None else stand_in(self, x)

    def around(self, key: object, make: Callable[["Dynamics"], "Dynamics"]) -> "Dynamics":
        """A module that holds this one as ``module``: the same at every call, for a fused loop is recorded by module.

        Args:
            key: by which it is kept.
            make: makes it of this module.
        """
        kept: dict[object, Dynamics] = vars(self).setdefault(_AROUND, {})
        known = kept.get(key)
        # One that came with a copy of the attributes belongs to another module.
        if known is None or known.module is not self:
            if len(kept) >= _MOST_AROUND:
                kept.clear()
            known = kept[key] = make(self)
        return known

    def _check_started(self, state: State) -> None:
        """Raise if the state lacks what the module itself keeps in it."""

    def _check_linear_input(self) -> None:
        """Raise unless the step takes its input as a function of the time within it."""
        raise ValueError(
            f"{type(self).__name__}: expected input='held', for its input arrives at the end of a step or is used only "
            "once in it, got 'linear'; leave it out"
        )

    def _read(self, x: State, axis: int) -> State:
        """The input as the step takes it; ``axis`` is the first one behind the batch: 2 of a sequence, 1 of a frame."""
        return x

    def __setattr__(self, name: str, value: object) -> None:
        if name != "dt" or "dt" not in vars(self):
            super().__setattr__(name, value)
            return
        before = dict(vars(self))
        try:
            self.change_dt(value)
        except Exception:
            vars(self).update(before)
            raise

    def change_dt(self, dt: float) -> None:
        """Take steps of ``dt`` ms from now on; ``ValueError`` where the equation does not allow that."""
        vars(self)["dt"] = positive_number(type(self).__name__, "dt", dt, unit="ms")
        for name, quantity in self.quantities():
            self.accept(name, quantity)

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        """The quantities of this module (not of its children) and their names."""
        for name, child in self._modules.items():
            if isinstance(child, Constrained):
                yield name, child

    def check_input(self, x: State) -> None:
        """Raise if ``x`` is not a sequence [T, B, \\*] of floats that the quantities broadcast to."""
        owner = type(self).__name__
        given = leaves(x)
        if not given:
            raise TypeError(f"{owner}: expected a tensor [T, B, *], got {x!r}; pass a tensor")
        for leaf in given:
            check_tensor(owner, leaf)
            if not leaf.is_floating_point():
                raise TypeError(f"{owner}: expected a floating-point input, got {leaf.dtype}; call x.float() first")
            if leaf.ndim < 2 or leaf.shape[0] == 0:
                raise ValueError(
                    f"{owner}: expected an input [T, B, *] with T >= 1, got shape {tuple(leaf.shape)}; "
                    "put time first and the batch second, or call step() on one frame [B, *]"
                )
            if leaf.shape[:2] != given[0].shape[:2]:
                raise ValueError(
                    f"{owner}: expected inputs that share [T, B], got {tuple(given[0].shape)} and {tuple(leaf.shape)}; "
                    "give all of them the same number of steps and rows"
                )
        self.check_quantities(given[0])

    def check_quantities(self, x: Tensor) -> None:
        """Raise if a quantity does not fit the neurons [\\*] or the dtype of ``x`` [T, B, \\*]."""
        owner, neurons, wanted = type(self).__name__, x.shape[2:], state_dtype(x)
        for name, quantity in self.quantities():
            start = quantity.start
            shape, dtype = start.shape, start.dtype
            if len(shape) > len(neurons) or not last_axes_fit(shape, neurons):
                raise ValueError(
                    f"{owner}: expected {name} to broadcast to the neurons {tuple(neurons)}, got shape {tuple(shape)}; "
                    "pass one value or one per neuron"
                )
            if dtype != wanted and torch.promote_types(dtype, torch.float32) != wanted:
                raise TypeError(
                    f"{owner}: expected {name} in {wanted} to match an input in {x.dtype}, got {dtype}; "
                    "convert the module (module.double(), module.float()) or the input"
                )

    def take_state(self, x_t: State, state: State) -> State:
        """``state`` in the classes of this module, from plain tuples too; raise if it does not go with ``x_t``."""
        with without_drawing():
            expected = self.initial_state(x_t)
        try:
            return like_state(expected, state)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: expected a state {describe(expected)} for this input, got {describe(state)}; "
                "pass the state that scan() or step() returned for the same batch"
            ) from None

    def extra_repr(self) -> str:
        return f"dt={self.dt:g} ms"


class LinearInput(Dynamics):
    """An equation under an input that goes in a straight line from each frame to the next, which both are its input."""

    pointwise = None

    def __init__(self, module: Dynamics):
        super().__init__(dt=module.dt)
        self.module = module

    def step(self, x_t: tuple[State, State], state: State) -> tuple[State, State]:
        start, end = x_t

        def along(fraction: float, _: State) -> State:
            return map_state(lambda a, b: a + fraction * (b - a), start, end)

        y_t, state = self.module.step(along, state)
        dtype = leaves(start)[0].dtype
        return map_state(lambda leaf: leaf.to(dtype), y_t), state


def _with_next(x: State) -> tuple[State, State]:
    """A sequence and the frames that follow; the last one follows itself."""
    return x, map_state(lambda leaf: torch.cat([leaf[1:], leaf[-1:]]), x)


def plain_parts(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of a model, itself among them, that are neither dynamics nor inside of some, by name."""
    inside = {part for each in model.modules() if isinstance(each, Dynamics) for part in each.modules()}
    return {name: part for name, part in model.named_modules() if part not in inside}
