"""What attaches to an equation with a potential: adaptation and noise, each a term with a variable of its own."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from .numerics import mean_decay
from .quantities import Parametrized, Positive
from .random import normal, normals, start_key, uniform
from .state import State, register_state, zeros_state


class Term(Parametrized):
    r"""Base of what attaches to a cell: it says what it does, the integrator says how that is solved.

    A term has a variable of its own, the state field of its name, and acts on the cell as a current (:meth:`inflow`,
    :meth:`push`), on its threshold (:meth:`threshold`), or both. Between spikes the variable follows an equation
    (:meth:`derivative`, :meth:`relax`) or is held over a step and then moved on (:meth:`hold`, :meth:`relax`).
    """

    as_current: ClassVar[bool] = False
    """Whether it acts as a current; the cell must then say how a current moves its potential."""
    on_threshold: ClassVar[bool] = False
    """Whether it moves the threshold."""
    follows_potential: ClassVar[bool] = False
    """Whether its variable depends on the potential."""
    shared: ClassVar[bool] = False
    """Whether all rows of a batch have one variable, so that a step does not act on each element by itself."""

    def initial_state(self, x_t: State) -> State:
        """The variable before the first step."""
        raise NotImplementedError(f"{type(self).__name__} does not define initial_state(x_t)")

    def begin(self, value: State) -> State:
        """The variable at the start of a step; a noise takes the next random numbers here."""
        return value

    def hold(self, value: State, v: Tensor, dt: float) -> State:
        """The variable with the mean of its current over the step for its current; ``v`` is the potential."""
        return value

    def inflow(self, value: State) -> Tensor | None:
        """The current at a moment."""
        return None

    def push(self, value: State, leak: Tensor, dt: float | Tensor) -> Tensor | None:
        """The current integrated over a step against the leak of the membrane.

        Args:
            value: the variable at the start of the step.
            leak: the step in units of the membrane time constant; 0 for the plain integral.
            dt: length of the step, ms.
        """
        return None

    def derivative(self, value: State, above_rest: Tensor) -> State:
        """The rate of change of the variable per ms; ``()`` where it follows no differential equation."""
        return ()

    def relax(self, value: State, above_rest: Tensor, dt: float | Tensor) -> State:
        """The variable ``dt`` later, at a potential that is held."""
        return value

    def threshold(self, value: State, v: Tensor, dt: float) -> Tensor | None:
        """What is added to the threshold of the cell, for a potential ``v``."""
        return None

    def jump(self, value: State, spikes: Tensor) -> State:
        """The variable after spikes."""
        return value


class Adaptation(Term):
    r"""Base of the adaptations: one variable ``a`` that decays, jumps at each spike and may follow the potential.

    .. math:: \tau \dot a = -a + a_\infty(v) + J \sum_k \delta(t - t_k)

    so that each spike adds ``J / tau``. It is never reset. A subclass holds the quantity ``tau`` and writes
    :meth:`increment` and what it needs of :meth:`current`, :meth:`target` and :meth:`threshold`. The variable has the
    shape [B, \*] of the potential.
    """

    tau: Positive

    def initial_state(self, x_t: State) -> Tensor:
        return zeros_state(x_t)

    def current(self, a: Tensor) -> Tensor:
        """The current that is added to the input of the cell, proportional to ``a``."""
        raise NotImplementedError(f"{type(self).__name__} does not define current(a)")

    def target(self, above_rest: Tensor) -> Tensor:
        """What ``a`` relaxes to at a potential that is ``above_rest`` above rest."""
        return torch.zeros_like(above_rest)

    def increment(self) -> Tensor:
        """What a spike adds to ``a``."""
        raise NotImplementedError(f"{type(self).__name__} does not define increment()")

    def inflow(self, value: Tensor) -> Tensor | None:
        return self.current(value) if self.as_current else None

    def push(self, value: Tensor, leak: Tensor, dt: float | Tensor) -> Tensor | None:
        if not self.as_current:
            return None
        return self.current(value) * (dt * mean_decay(leak, dt / self.tau()))

    def derivative(self, value: Tensor, above_rest: Tensor) -> Tensor:
        return (self.target(above_rest) - value) / self.tau()

    def relax(self, value: Tensor, above_rest: Tensor, dt: float | Tensor) -> Tensor:
        target = self.target(above_rest)
        return target + (value - target) * torch.exp(-dt / self.tau())

    def jump(self, value: Tensor, spikes: Tensor) -> Tensor:
        return value + spikes * self.increment()


@register_state
class NoiseState(NamedTuple):
    """key: where in its random numbers each element is, int64, [B, *]; current: of the noise, () without memory."""

    key: Tensor
    current: State = ()


class Noise(Term):
    """Base of the noises: random numbers of its own for each neuron, row of the batch and step.

    The numbers of a step follow from the key in the state (:mod:`torchdyn_neuro.core.random`), so a step is a pure
    function and a replay is exact. A noise moves the potential as a current, one without memory (:meth:`kick`) or one
    that is a state and decays (:meth:`kick`, :meth:`relax` and the quantity ``tau``), or it moves the threshold.
    """

    as_current: ClassVar[bool] = True
    has_memory: ClassVar[bool] = False
    """Whether the noise is a current that the cell keeps as a state; it then has the quantity ``tau``."""

    def initial_state(self, x_t: State) -> NoiseState:
        return NoiseState(start_key(x_t), zeros_state(x_t) if self.has_memory else ())

    def begin(self, value: NoiseState) -> NoiseState:
        return value._replace(key=value.key + 1)

    def normal(self, key: Tensor, dtype: torch.dtype) -> Tensor:
        """A standard normal number of a step for each element."""
        return normal(key, dtype=dtype)

    def normals(self, key: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Two independent standard normal numbers of a step for each element."""
        return normals(key, dtype=dtype)

    def uniform(self, key: Tensor, dtype: torch.dtype) -> Tensor:
        """A uniform number of a step, from 0 to 1, for each element."""
        return uniform(key, dtype=dtype)

    def kick(self, key: Tensor, leak: Tensor, dt: float | Tensor) -> Tensor:
        """The fresh current of a step, integrated against the leak of the membrane; the memory apart."""
        raise NotImplementedError(f"{type(self).__name__} does not define kick(key, leak, dt)")

    def hold(self, value: NoiseState, v: Tensor, dt: float) -> NoiseState:
        if not self.as_current:
            return value
        return value._replace(current=self.push(value, torch.zeros_like(v), dt) / dt)

    def inflow(self, value: NoiseState) -> Tensor | None:
        return value.current if isinstance(value.current, Tensor) else None

    def push(self, value: NoiseState, leak: Tensor, dt: float | Tensor) -> Tensor | None:
        if not self.as_current:
            return None
        kick = self.kick(value.key, leak, dt)
        if not self.has_memory:
            return kick
        return kick + value.current * (dt * mean_decay(leak, dt / self.tau()))
