"""Coordinates of the potential in which the upstroke of a spike runs at a finite speed."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

LARGEST_EXPONENT = 12.0
"""Beyond it the drift of an exponential upstroke is held: from there to any peak it is microseconds."""
_LAST_EXPONENT = 60.0
"""Beyond it the exponential comes close to the largest float32; the peak is e^-60 time constants away."""


class Upstroke(ABC):
    """A smooth, increasing coordinate ``q(v)``, linear far below the upstroke.

    An upstroke that would reach infinity within a step crosses any of its values in such a coordinate at a slope that
    hardly changes, where a Runge-Kutta method keeps its order and a crossing can be found.
    """

    power: ClassVar[int] = 1
    """The path to the threshold is cut into pieces that are even in this root of the distance that is left."""

    @abstractmethod
    def straighten(self, v: Tensor) -> Tensor:
        """The coordinate of a potential."""

    @abstractmethod
    def stretch(self, v: Tensor) -> Tensor:
        """The slope of the coordinate."""

    @abstractmethod
    def bend(self, q: Tensor) -> Tensor:
        """The potential of a coordinate."""

    def top(self, v_th: Tensor) -> Tensor:
        """Where in the upstroke a spike that is to be counted at ``v_th`` is counted."""
        return v_th

    def clip(self, v: Tensor) -> Tensor:
        """The potential as the other equations of the cell see it: an overshoot of the upstroke is cut off."""
        return v

    def steepness(self, v: Tensor) -> Tensor | float:
        """The part of the upstroke, per ms, that the cell leaves out beyond :data:`LARGEST_EXPONENT`."""
        return 0.0


class Level(Upstroke):
    """The potential itself, for cells without an upstroke."""

    def straighten(self, v: Tensor) -> Tensor:
        return v

    def stretch(self, v: Tensor) -> Tensor:
        return torch.ones_like(v)

    def bend(self, q: Tensor) -> Tensor:
        return q


@dataclass(frozen=True)
class ExponentialUpstroke(Upstroke):
    r"""For an upstroke :math:`\dot v \propto e^{(v - V_T) / \Delta}`.

    .. math:: q = -\Delta \ln\left(1 + e^{-(v - V_T) / \Delta}\right)

    Args:
        V_T: where the exponential begins, mV.
        Delta_T: its width, mV.
        tau: time constant of the membrane, ms.
        peak: where the upstroke is cut, mV.
    """

    V_T: Tensor
    Delta_T: Tensor
    tau: Tensor
    peak: Tensor

    power: ClassVar[int] = 2  # at its end the potential is a logarithm of the coordinate

    def straighten(self, v: Tensor) -> Tensor:
        return -self.Delta_T * functional.softplus(-(v - self.V_T) / self.Delta_T)

    def stretch(self, v: Tensor) -> Tensor:
        return torch.sigmoid(-(v - self.V_T) / self.Delta_T)

    def bend(self, q: Tensor) -> Tensor:
        below = -q / self.Delta_T
        # ln(e^x - 1) without overflow.
        return self.V_T - self.Delta_T * (below + torch.log(-torch.expm1(-below)))

    def top(self, v_th: Tensor) -> Tensor:
        return torch.minimum(v_th, self.V_T + _LAST_EXPONENT * self.Delta_T)

    def clip(self, v: Tensor) -> Tensor:
        return torch.minimum(v, self.peak)

    def steepness(self, v: Tensor) -> Tensor:
        exponent = torch.clamp((v - self.V_T) / self.Delta_T, LARGEST_EXPONENT, _LAST_EXPONENT)
        return self.Delta_T / self.tau * (torch.exp(exponent) - math.exp(LARGEST_EXPONENT))


@dataclass(frozen=True)
class QuadraticUpstroke(Upstroke):
    r"""For an upstroke :math:`\dot v \propto (v - \bar v)^2`.

    .. math:: q = -h / (z + \sqrt{1 + z^2}), \qquad z = (v - \bar v) / h

    Args:
        middle: the bottom of the parabola, mV.
        width: distance ``h`` from it at which the coordinate bends, mV.
        peak: where the upstroke is cut, mV.
    """

    middle: Tensor
    width: Tensor | float
    peak: Tensor

    def straighten(self, v: Tensor) -> Tensor:
        z = (v - self.middle) / self.width
        # Of the two forms that are equal, the one that is a sum on either side of the middle.
        root = torch.sqrt(1 + z * z)
        return -self.width * torch.where(z > 0, 1 / (z.abs() + root), z.abs() + root)

    def stretch(self, v: Tensor) -> Tensor:
        z = (v - self.middle) / self.width
        root = torch.sqrt(1 + z * z)
        return torch.where(z > 0, 1 / (z.abs() + root), z.abs() + root) / root

    def bend(self, q: Tensor) -> Tensor:
        steep = -q / self.width
        return self.middle + self.width * (1 / steep - steep) / 2

    def clip(self, v: Tensor) -> Tensor:
        return torch.minimum(v, self.peak)
