"""What attaches to any spiking cell: adaptation and noise."""

from typing import ClassVar

import torch
from torch import Tensor

from .quantities import Parametrised, Positive
from .randomness import Draw
from .state import State, zeros_state


class Adaptation(Parametrised):
    r"""Base of the adaptations: one variable ``a`` that decays, jumps at each spike and may follow the potential.

    .. math:: \tau \dot a = -a + a_\infty(v) + J \sum_k \delta(t - t_k)

    so that each spike adds ``J / tau``. The variable acts on the cell as a current (:meth:`current`), on its
    threshold (:meth:`threshold`), or both. It is never reset. A subclass holds the quantity ``tau`` and writes
    :meth:`jump` and what it needs of the rest. The variable has the shape [B, \*] of the potential.
    """

    tau: Positive

    enters_as_current: ClassVar[bool] = False
    """Whether :meth:`current` is defined; the cell must then say how a current moves its potential."""
    follows_potential: ClassVar[bool] = False
    """Whether :meth:`target` depends on the potential; the cell must then have a resting potential."""

    def initial_state(self, x_t: State) -> Tensor:
        """The variable before the first step: zeros [B, \\*]."""
        return zeros_state(x_t)

    def current(self, a: Tensor) -> Tensor | None:
        """The current that is added to the input of the cell, proportional to ``a``."""
        return None

    def threshold(self, a: Tensor) -> Tensor | None:
        """What is added to the threshold of the cell."""
        return None

    def target(self, above_rest: Tensor) -> Tensor:
        """What ``a`` relaxes to at a potential that is ``above_rest`` above rest."""
        return torch.zeros_like(above_rest)

    def jump(self) -> Tensor:
        """What a spike adds to ``a``."""
        raise NotImplementedError(f"{type(self).__name__} does not define jump()")


class Noise(Parametrised):
    """Base of the noises: takes random numbers for each neuron, row of the batch and step.

    The numbers come from torch's generator (``torch.manual_seed``) and reach the step beside the input, so that a step
    is a pure function on every backend. A noise moves the potential as a current, one without memory (:meth:`kick`) or
    one that is a state of the cell and decays (:meth:`kick`, :meth:`advance` and the quantity ``tau``), or it moves the
    threshold (:meth:`threshold`). Each of the numbers, and the memory, has the shape [B, \\*] of the potential.
    """

    enters_as_current: ClassVar[bool] = True
    """Whether it acts on the potential; the cell must then say how a current moves it."""
    has_memory: ClassVar[bool] = False
    """Whether the noise is a current that the cell keeps as a state; it then has the quantity ``tau``."""

    def numbers(self, like: Tensor) -> State:
        """What a step takes for a potential ``like``: a tree of ``Draw``, one standard normal unless overridden."""
        return Draw.normal(like)

    def initial_state(self, x_t: State) -> State:
        """The noise current before the first step, ``()`` for a noise without memory."""
        return zeros_state(x_t) if self.has_memory else ()

    def advance(self, state: State, numbers: State, dt: float) -> State:
        """The noise current after a step."""
        return state

    def kick(self, numbers: State, leak: Tensor, dt: float) -> Tensor | None:
        """The fresh current of a step, integrated against the decay of the membrane; the memory apart.

        Args:
            numbers: the random numbers of the step.
            leak: the step in units of the membrane time constant; 0 for the plain integral, without decay.
            dt: length of the step, ms.
        """
        return None

    def threshold(self, numbers: State, dt: float) -> Tensor | None:
        """What is added to the threshold in this step."""
        return None
