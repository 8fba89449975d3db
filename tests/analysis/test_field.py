"""One field of dynamics and of functions; what is none is refused in words."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import torchdyn_neuro as tdn
from tests.analysis.systems import EI, Rate, ei_network, ei_pair
from torchdyn_neuro.analysis import as_field, eigenvalues, fixed_point, fixed_points, jacobian, trajectory

HALF = torch.tensor([0.3, 0.4])
NOWHERE = torch.ones(2, device="meta")


def test_a_network_and_its_formula_are_one_field():
    network, current = ei_network()
    field = as_field(network, input=current)
    states = torch.rand(5, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(field(states), ei_pair(states, *EI), rtol=1e-13, atol=1e-15)
    assert field.names(2) == ("x0[0]", "x0[1]")
    assert torch.equal(field.flat(network.initial_state(current)), torch.full((1, 2), 0.1).double())


def test_the_jacobian_is_that_of_the_formula():
    """J = (-1 + diag(F') W) / tau, with tau per unit."""
    network, current = ei_network(tau=torch.tensor([10.0, 4.0]))
    weight = network.connection.weight.double()
    x = torch.rand(4, 2, dtype=torch.float64)
    rate = torch.sigmoid(x @ weight.T + current)
    slope = (rate * (1 - rate))[..., None] * weight - torch.eye(2)
    expected = slope / torch.tensor([[10.0], [4.0]])
    torch.testing.assert_close(jacobian(network, x, input=current), expected, rtol=1e-12, atol=1e-14)


def test_rows_of_parameters_are_systems_of_their_own():
    weight = torch.tensor([[1.5], [2.0], [3.0]])
    unit = lambda r, w: -r + torch.tanh(w * r)  # noqa: E731
    together = fixed_point(unit, torch.ones(3, 1), parameters=(weight,))
    for row, w in zip(together, weight, strict=True):
        torch.testing.assert_close(row, fixed_point(unit, torch.ones(1), parameters=(w,)), rtol=1e-12, atol=0)
    network, current = ei_network()
    inputs = torch.cat([current, current + 0.5])
    both = fixed_point(network, torch.tensor([0.3, 0.4]), input=inputs)
    assert both.shape == (2, 2)
    one = fixed_point(network, torch.tensor([[0.3, 0.4]]), input=inputs[1:])
    torch.testing.assert_close(both[1:], one, rtol=1e-12, atol=0)


def test_a_quantity_keeps_its_digits_and_a_parameter_its_gradient():
    """A float is exact in float64; a learned parameter in float32 gets the gradient."""
    unit = Rate(tau=17.3)
    value = eigenvalues(unit, torch.zeros(1), input=torch.zeros(1, 1))
    assert value.real.item() == -1 / 17.3
    unit = Rate(tau=tdn.Learned(16.0))
    eigenvalues(unit, torch.zeros(1), input=torch.zeros(1, 1)).real.sum().backward()
    assert unit.tau.raw.grad.dtype == torch.float32
    assert unit.tau.raw.grad.item() == pytest.approx(1 / 16, rel=1e-6)  # d(-1 / tau) / d ln(tau)
    assert unit.tau().dtype == torch.float32


def test_parameters_by_name_stand_in_for_the_module_s_own():
    network, current = ei_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    changed = jacobian(network, HALF, input=current, parameters={"neuron.tau": 5.0})
    torch.testing.assert_close(changed, 2 * jacobian(network, HALF, input=current), rtol=1e-12, atol=0)
    weight = torch.zeros(2, 2, dtype=torch.float64)

    def leading(weight):
        at = {"input": current, "parameters": {"connection.weight": weight}}
        return eigenvalues(network, fixed_point(network, HALF, **at), **at).real.amax()

    gradient = torch.func.grad(leading)(weight + torch.tensor([[2.0, -1.0], [1.0, 0.0]]))
    assert gradient.shape == (2, 2)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().min() > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_module_in_float32_is_a_field_in_float64():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    slope = jacobian(module, HALF)
    first, _, last = module
    hidden = torch.tanh(first.weight.double() @ HALF.double() + first.bias.double())
    expected = last.weight.double() @ ((1 - hidden**2)[:, None] * first.weight.double())
    torch.testing.assert_close(slope, expected, rtol=1e-12, atol=1e-14)
    slope.sum().backward()
    assert first.weight.grad.dtype == torch.float32
    assert first.weight.grad.abs().min() > 0
    assert next(module.parameters()).dtype == torch.float32


def test_an_alias_names_what_it_stands_for():
    cell, at = tdn.AdEx(), {"input": torch.full((1, 1), 300.0), "between_spikes": True}
    slopes = [
        jacobian(tdn.AdEx(v_peak=-45.0), torch.tensor([-30.0, 0.0]), **at),
        jacobian(cell, torch.tensor([-30.0, 0.0]), parameters={"v_peak": -45.0}, **at),
    ]
    assert torch.equal(*slopes)
    assert slopes[0][0, 0] == 0  # clipped at the peak
    assert as_field(cell, **at).value("v_peak") == 20


def test_hooks_and_pruned_weights_count():
    network, current = ei_network()
    prune.custom_from_mask(network.connection, "weight", torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    slope = jacobian(network, HALF, input=current)
    assert slope[..., 0, 1].item() == 0
    slope.sum().backward()
    assert network.connection.weight_orig.grad[0, 1] == 0
    assert network.connection.weight_orig.grad[0, 0] != 0


def test_linear_network_follows_the_matrix_exponential():
    torch.manual_seed(0)
    connection = nn.Linear(4, 4, bias=False)
    network = tdn.Network(Rate(tau=8.0, activation=lambda x: x), connection)
    start = torch.randn(1, 4, dtype=torch.float64)
    times = [0.0, 3.0, 20.0]
    path = trajectory(network, start, times, rtol=1e-11, atol=1e-13, input=torch.zeros(1, 4))
    matrix = (connection.weight.double() - torch.eye(4)) / 8
    for state, time in zip(path, times, strict=True):
        expected = start @ torch.linalg.matrix_exp(matrix * time).T
        torch.testing.assert_close(state, expected, rtol=1e-9, atol=1e-9)


def test_hodgkin_huxley_is_smooth_and_an_integrate_and_fire_cell_is_not():
    cell = tdn.HodgkinHuxley(dt=0.01)
    at = {"input": torch.full((1, 1), 10.0)}
    rest = fixed_point(cell, cell.initial_state(torch.zeros(1, 1)), **at)
    v = rest[0, 0]
    m, h, n = rest[0, 1:]
    current = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)  # the values of the cell
    assert current.item() == pytest.approx(10.0, abs=1e-3)
    with pytest.raises(ValueError, match=r"threshold of LIF.*between_spikes"):
        fixed_points(tdn.LIF(), low=0.0, high=1.0, input=torch.zeros(1, 1))
    below = fixed_points(tdn.LIF(), low=-1.0, high=1.0, input=torch.full((1, 1), 0.5), between_spikes=True)
    assert below.states.tolist() == [[0.5]]
    beyond = fixed_points(tdn.LIF(), low=-1.0, high=1.0, input=torch.full((1, 1), 1.5), between_spikes=True)
    assert len(beyond.states) == 0
    assert beyond.lost == 64
    with pytest.raises(ValueError, match="beyond it"):
        fixed_point(tdn.LIF(), torch.zeros(1), input=torch.full((1, 1), 1.5), between_spikes=True)


REFUSED = {
    "time": (lambda t, x: -x, {}, TypeError, "autonomous.*'t'"),
    "no function": (3.0, {}, TypeError, "a Dynamics or a function"),
    "parameters by name": (lambda x, a: a * x, {"parameters": {"a": 1.0}}, TypeError, "as a tuple"),
    "input of a function": (lambda x: x, {"input": torch.zeros(1, 1)}, ValueError, "with Dynamics only"),
    "chance": (lambda x: -x + torch.randn_like(x), {}, ValueError, "without chance"),
    "dropout": (lambda x: nn.functional.dropout(-x, 0.5), {}, ValueError, "without chance"),
    "rows that couple": (lambda x: x - x.sum(), {}, ValueError, "do not act on each other"),
    "a surrogate": (lambda x: tdn.surrogates.ATan()(x) - x, {}, ValueError, "not its slope"),
    "another shape": (lambda x: x.sum(-1), {}, ValueError, "one for each component"),
    "another type": (lambda x: x.float(), {}, ValueError, "in the type of the state"),
    "a synapse": (tdn.DoubleExponentialSynapse(), {"input": torch.zeros(1, 2)}, TypeError, "by its step only"),
    "no input": (Rate(), {}, TypeError, "one frame"),
    "a frame without a batch": (Rate(), {"input": torch.zeros(2)}, ValueError, r"input\[None\]"),
    "an input over time": (Rate(), {"input": lambda t: t}, ValueError, "depends on time"),
    "noise": (
        tdn.LeakyIntegrator(noise=tdn.WhiteNoise()),
        {"input": torch.zeros(1, 2)},
        ValueError,
        "without chance.*WhiteNoise",
    ),
    "a delay": (
        tdn.Network(Rate(), nn.Linear(2, 2), delay=1.0),
        {"input": torch.zeros(1, 2)},
        ValueError,
        "without a delay",
    ),
    "a module without numbers": (
        tdn.CTRNN(2).to("meta"),
        {"input": torch.zeros(1, 2)},
        ValueError,
        "a module and an input with numbers, got one on the meta device",
    ),
    "an input without numbers": (
        Rate(),
        {"input": torch.zeros(1, 2, device="meta")},
        ValueError,
        "a module and an input with numbers, got one on the meta device",
    ),
    "parameters without numbers": (
        lambda x, a: a * x,
        {"parameters": (NOWHERE,)},
        ValueError,
        "parameters with numbers",
    ),
    "weights elsewhere": (
        lambda x: NOWHERE * x,
        {},
        ValueError,
        "tensors lie where the state does, on cpu",
    ),
    "an unknown parameter": (
        Rate(),
        {"input": torch.zeros(1, 2), "parameters": {"tua": 3.0}},
        ValueError,
        r"\(tau\).*'tua'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_smooth_autonomous_field(name):
    system, at, kind, message = REFUSED[name]
    with pytest.raises(kind, match=rf"^.+: expected .*{message}"):
        as_field(system, torch.full((2,), 0.1), **at)


def test_a_state_without_numbers():
    for system, at in ((lambda x: -x, {}), (tdn.CTRNN(2), {"input": torch.zeros(1, 2)})):
        with pytest.raises(ValueError, match=r"expected a state with numbers, got one on the meta device"):
            as_field(system, torch.zeros(2, device="meta"), **at)


def test_what_is_wrong_is_wrong_under_transforms_too():
    surrogate = REFUSED["a surrogate"][0]
    with pytest.raises(ValueError, match="not its slope"):
        torch.func.grad(lambda x: jacobian(surrogate, x).sum())(torch.full((2,), 0.1))


def test_a_kink_is_no_surrogate():
    network = tdn.Network(Rate(activation=torch.relu), nn.Linear(2, 2))
    assert torch.isfinite(jacobian(network, torch.zeros(2), input=torch.zeros(1, 2))).all()


def test_trajectories_say_where_they_end():
    with pytest.raises(ValueError, match="runs away or jumps at 1 ms"):
        trajectory(lambda x: x * x, torch.ones(1), [2.0])
    with pytest.raises(ValueError, match=r"reaches it at .* ms"):
        trajectory(tdn.LIF(), torch.zeros(1, 1), [100.0], input=torch.full((1, 1), 2.0), between_spikes=True)
    with pytest.raises(ValueError, match="rising times"):
        trajectory(lambda x: -x, torch.ones(1), [2.0, 1.0])
    decay = trajectory(lambda x, a: -a * x, torch.ones(2, 1), [1.0, 2.0], parameters=(torch.tensor([[1.0], [2.0]]),))
    expected = [[[math.exp(-1)], [math.exp(-2)]], [[math.exp(-2)], [math.exp(-4)]]]
    torch.testing.assert_close(decay, torch.tensor(expected).double(), rtol=1e-6, atol=0)


def test_a_function_that_holds_weights_of_another_type():
    weight = torch.eye(2)
    with pytest.raises(TypeError, match=r"computes in torch.float64, .* pass them as parameters=\(W, ...\), or dtype="):
        as_field(lambda r: -r + r @ weight, torch.zeros(1, 2))
    field = as_field(lambda r: -r + 3 * r @ weight, torch.zeros(1, 2), dtype=torch.float32)
    assert field(torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


def test_what_wraps_dynamics_is_not_taken_for_a_function():
    net, frame = tdn.CTRNN(2), torch.zeros(1, 2)
    for wrapped in (tdn.Streaming(net), torch.nn.Sequential(net)):
        with pytest.raises(ValueError, match=r"module that is none; pass the dynamics inside it"):
            as_field(wrapped, torch.zeros(1, 2), input=frame)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="CTRNN: expected an input of width 3 for Linear, got 2"):
        as_field(tdn.CTRNN(3), torch.zeros(1, 3), input=torch.zeros(1, 2))
    for shape in ((0, 2), (2, 0), (0,)):
        with pytest.raises(ValueError, match="one row and one variable at least, got shape"):
            tdn.analysis.eigenvalues(lambda x: -x, torch.zeros(shape))
        with pytest.raises(ValueError, match="expected a start"):
            tdn.analysis.fixed_points(lambda x: -x, torch.zeros(shape))


def test_values_out_of_bounds_are_refused():
    pair, frame = tdn.WilsonCowan(), (torch.zeros(1, 1), torch.zeros(1, 1))
    for name, value, wanted in (("tau_E", -5.0, "a number above 0"), ("w_EI", -1.0, "0 or a number above it")):
        with pytest.raises(ValueError, match=f"WilsonCowan: expected {name} to be {wanted}, got {value:g}"):
            as_field(pair, input=frame, parameters={name: value})
        for search in (tdn.analysis.hopf_point, tdn.analysis.bifurcation_diagram):
            with pytest.raises(ValueError, match=f"WilsonCowan: expected {name} to be {wanted}, got {value:g}"):
                search(pair, name, (10.0, value), torch.zeros(1, 2), input=frame)
    assert as_field(pair, input=frame, parameters={"w_EI": 0.0}).value("w_EI") == 0
    with pytest.raises(TypeError, match=r"expected dtype float64 or float32, got torch.bfloat16"):
        as_field(pair, input=frame, dtype=torch.bfloat16)


def test_a_range_is_asked_for_in_the_name_of_the_search():
    with pytest.raises(ValueError, match=r"^hopf_point: expected a range"):
        tdn.analysis.hopf_point(lambda x, m: m - x, "m", (1.0, 1.0), torch.zeros(1), parameters=(0.0,))
