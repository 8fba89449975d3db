"""Elementary functions of the C++ loops in float32: error in units in the last place, and values at the ends."""

import math

import pytest
import torch

import torchdyn_neuro as tdn

LARGE, SMALL = torch.finfo(torch.float32).max, torch.finfo(torch.float32).tiny
ENDS = [0.0, -0.0, math.inf, -math.inf, math.nan, LARGE, -LARGE, SMALL, -SMALL, 2.0**-149, 2.0**-130, 88.7228, 89.0]
ENDS += [-87.3, -88.0, -103.9, -104.5, 1.0, -1.0, 127.0, 3e5, -7e8, 12.0, 1 - 2.0**-24, 1 + 2.0**-23]
FUNCTIONS = {
    "exp": (torch.exp, (-105, 89), 1.5),
    "expm1": (torch.expm1, (-20, 89), 2),
    "expm1 near zero": (torch.expm1, (-0.4, 0.4), 2),
    "log": (torch.log, (2.0**-140, 1e4), 1.5),
    "log near one": (torch.log, (0.5, 2), 1.5),
    "tanh": (torch.tanh, (-10, 10), 4),
    "tanh near zero": (torch.tanh, (-0.3, 0.3), 4),
    "sin": (torch.sin, (-500, 500), 2),
    "cos": (torch.cos, (-500, 500), 2),
    "sigmoid": (torch.sigmoid, (-87, 87), 3),
}


class Function(tdn.Dynamics):
    """Puts out a function of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def initial_state(self, x_t):
        return ()

    def step(self, x_t, state):
        return self.function(x_t), state


def computed(function, x):
    with tdn.backend("cpp"):
        return Function(function)(x.reshape(1, 1, -1)).flatten()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_in_units_in_the_last_place(name):
    function, (low, high), most = FUNCTIONS[name]
    x = torch.linspace(low, high, 400_003, dtype=torch.float64).float()
    if name == "log":
        x = torch.cat([x, torch.logspace(-45, 38, 100_001, dtype=torch.float64).float().clamp(min=2.0**-149)])
    exact = function(x.double())
    nearest = exact.float().abs()
    unit = torch.nextafter(nearest, torch.tensor(math.inf)).double() - nearest.double()
    finite = nearest.isfinite()
    error = ((computed(function, x).double() - exact).abs() / unit)[finite]
    assert error.max() <= most


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_at_the_ends(name):
    function, x = FUNCTIONS[name][0], torch.tensor(ENDS)
    torch.testing.assert_close(computed(function, x), function(x), equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["expm1", "tanh", "sin", "sinh", "erf", "log1p", "sqrt", "trunc", "ceil", "relu"])
def test_zeros_keep_their_sign(name, dtype):
    # Which infinity the inverse of a result is depends on it.
    function, x = getattr(torch, name), torch.tensor([0.0, -0.0], dtype=dtype)
    results = computed(function, x)
    assert not results.any()
    assert torch.equal(results.signbit(), function(x).signbit())


@pytest.mark.parametrize("name", ["expm1", "tanh", "sin"])
def test_the_smallest_numbers_are_their_own_images(name):
    x = torch.tensor([2.0**-149, -(2.0**-149), 2.0**-126, -(2.0**-126), 1e-38, -1e-20])
    torch.testing.assert_close(computed(getattr(torch, name), x), x, rtol=0, atol=0)
