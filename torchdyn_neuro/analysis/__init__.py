"""What a network will do, before it is run (fixed points, rhythms, bifurcations), and what it has done (spike trains).

All functions that look at equations take dynamics of this library under a constant input, or a plain function
``f(state, *parameters)``; see :func:`as_field`. Time is in ms, frequencies in Hz, numbers in float64.
"""

from .as_field import as_field
from .avalanche_sizes import Avalanches, avalanche_sizes
from .bifurcation_diagram import BifurcationDiagram, bifurcation_diagram
from .branch_point import branch_point
from .cv import cv
from .cycles import CycleBranch
from .eigenvalues import eigenvalues
from .energy import energy
from .equilibria import Branch
from .f_i_curve import f_i_curve
from .fano import fano
from .field import At, Field
from .fixed_points import FixedPoints, fixed_point, fixed_points
from .fold_point import fold_point
from .hopf_point import hopf_point
from .isi import isi
from .jacobian import jacobian
from .limit_cycle import LimitCycle, limit_cycle
from .lyapunov_spectrum import lyapunov_spectrum
from .memory_capacity import memory_capacity
from .nullclines import Nullclines, nullclines
from .oscillation_frequency import band, oscillation_frequency
from .phase_plane import PhasePlane, phase_plane
from .phase_response import PhaseResponse, phase_response
from .power_spectrum import Spectrum, power_spectrum
from .special_points import BranchPoint, FoldPoint, HopfPoint
from .stability import Stability, stability
from .step_stability import StepStability, step_stability
from .synchrony import synchrony
from .trajectory import trajectory

__all__ = [
    "At",
    "Avalanches",
    "BifurcationDiagram",
    "Branch",
    "BranchPoint",
    "CycleBranch",
    "Field",
    "FixedPoints",
    "FoldPoint",
    "HopfPoint",
    "LimitCycle",
    "Nullclines",
    "PhasePlane",
    "PhaseResponse",
    "Spectrum",
    "Stability",
    "StepStability",
    "as_field",
    "avalanche_sizes",
    "band",
    "bifurcation_diagram",
    "branch_point",
    "cv",
    "eigenvalues",
    "energy",
    "f_i_curve",
    "fano",
    "fixed_point",
    "fixed_points",
    "fold_point",
    "hopf_point",
    "isi",
    "jacobian",
    "limit_cycle",
    "lyapunov_spectrum",
    "memory_capacity",
    "nullclines",
    "oscillation_frequency",
    "phase_plane",
    "phase_response",
    "power_spectrum",
    "stability",
    "step_stability",
    "synchrony",
    "trajectory",
]
