from .as_field import as_field
from .fixed_points import *
from .eigenvalues import eigenvalues
from .jacobian import jacobian
from .stability import stability
from .oscillation_frequency import oscillation_frequency, band
from .hopf_point import hopf_point
from .fold_point import fold_point
from .branch_point import branch_point
from .limit_cycle import limit_cycle
from .trajectory import trajectory
from .bifurcation_diagram import bifurcation_diagram
