import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import torchdyn_neuro as tdn

FORMS = ["tm", "m98", "text"]
U, TAU_F, TAU_D = 0.3, 400.0, 250.0


@pytest.fixture(autouse=True)
def eager():
    """Not here: one synapse has a few kernels, and its trains are thousands of steps long."""


def regular_train(interval, spikes, dt=1.0):
    """Spikes every ``interval`` ms, the first at once, [T, 1, 1]."""
    step = round(interval / dt)
    x = torch.zeros(step * (spikes - 1) + 1, 1, 1, dtype=torch.float64)
    x[::step] = 1
    return x


def reference(events, form, U=U, tau_f=TAU_F, tau_d=TAU_D):
    """Releases of spikes at the times ``events`` in ms, by the event-wise recursion in plain floats."""
    rest = 0.0 if form == "m98" else U
    u, R, before, released = rest, 1.0, None, []
    for time in events:
        gap = math.inf if before is None else time - before
        u = rest + (u - rest) * math.exp(-gap / tau_f)
        R = 1 - (1 - R) * math.exp(-gap / tau_d)
        u = u + U * (1 - u)
        released.append(u * R)
        R = R * (1 - U) if form == "text" else R - u * R
        before = time
    return released


@pytest.mark.parametrize("form", FORMS)
def test_irregular_train_against_the_recursion_over_events(form):
    times = [0, 7, 8, 30, 95, 96, 97, 240, 700]
    x = torch.zeros(701, 1, 1, dtype=torch.float64)
    x[times] = 1
    y = tdn.TsodyksMarkram(U, TAU_F, TAU_D, form=form).double()(x)
    assert_close(y[times, 0, 0], torch.tensor(reference(times, form), dtype=torch.float64), rtol=1e-6, atol=0)
    assert (y[x == 0] == 0).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("interval", [5.0, 40.0, 200.0])
def test_steady_state_of_a_regular_train_in_closed_form(form, interval):
    a, b = math.exp(-interval / TAU_F), math.exp(-interval / TAU_D)
    rest = 0.0 if form == "m98" else U
    # u+ = U + (1 - U) u-,  u- = rest + (u+ - rest) a
    u_after = (U + (1 - U) * rest * (1 - a)) / (1 - (1 - U) * a)
    loss = U if form == "text" else u_after
    # R- = 1 - (1 - (1 - loss) R-) b
    resources = (1 - b) / (1 - (1 - loss) * b)
    module = tdn.TsodyksMarkram(*(torch.tensor(v, dtype=torch.float64) for v in (U, TAU_F, TAU_D)), form=form)
    y = module(regular_train(interval, 1 + round(20 * TAU_F / interval)))
    assert_close(y[-1].item(), u_after * resources, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("form", "expected"), [("m98", U), ("tm", 2 * U - U**2), ("text", 2 * U - U**2)])
def test_first_release(form, expected):
    x = torch.zeros(20, 1, 1, dtype=torch.float64)
    x[12] = 1
    module = tdn.TsodyksMarkram(torch.tensor(U, dtype=torch.float64), form=form).double()
    assert_close(module(x)[12].item(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_results_on_the_grid_do_not_depend_on_dt(form):
    def releases(dt):
        module = tdn.TsodyksMarkram(U, TAU_F, TAU_D, form=form, dt=dt).double()
        x = torch.zeros(round(300 / dt) + 1, 1, 1, dtype=torch.float64)
        index = [round(time / dt) for time in (0, 10, 12, 50, 51, 300)]
        x[index] = 1
        return module(x)[index]

    for dt in (0.125, 0.5):
        assert_close(releases(dt), releases(1.0), rtol=1e-9, atol=0)


def test_mean_of_the_text_form_under_poisson_input():
    rate, tau_f, dt, steps, trains = 0.05, 50.0, 0.1, 8000, 2000  # per ms, ms, ms
    # u and R share the spikes, so the mean of their product needs a moment equation of its own.
    resources = 1 / (1 + U * rate * TAU_D)
    utilisation = U * (1 + rate * tau_f) / (1 + U * rate * tau_f)
    product = (U * resources / tau_f + utilisation / TAU_D + rate * U * (1 - U) * resources) / (
        1 / tau_f + 1 / TAU_D + rate * (1 - (1 - U) ** 2)
    )
    expected = rate * ((1 - U) * product + U * resources)
    generator = torch.Generator().manual_seed(0)
    module = tdn.TsodyksMarkram(U, tau_f, TAU_D, form="text", dt=dt)
    state = module.initial_state(torch.zeros(1, trains))
    total = torch.zeros(trains)
    for step in range(steps):
        y, state = module.step((torch.rand(1, trains, generator=generator) < rate * dt).float(), state)
        total += y[0] if step >= steps // 2 else 0
    mean = total / (steps // 2 * dt)
    # One spike at most per step moves the mean by the order of rate * dt = 0.5 %.
    tolerance = 4 * mean.std().item() / math.sqrt(trains) + rate * dt * expected
    assert abs(mean.mean().item() - expected) < tolerance
    # The product of the two means would be told apart.
    assert abs(rate * ((1 - U) * utilisation + U) * resources - expected) > 1.5 * tolerance


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(FORMS),
    st.floats(0, 1),
    st.floats(0.1, 1e4),
    st.floats(0.1, 1e4),
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
)
def test_state_and_release_stay_between_zero_and_one(form, U, tau_f, tau_d, counts):
    module = tdn.TsodyksMarkram(U, tau_f, tau_d, form=form, max_count=3)
    x = torch.tensor(counts, dtype=torch.float32).reshape(-1, 1, 1)
    trajectories = tdn.record(module, x, ["u", "R", "output"])
    for values in (trajectories["u"], trajectories["R"]):
        assert values.min() >= 0
        assert values.max() <= 1
    assert (trajectories["output"] >= 0).all()
    if form != "text":  # resources are conserved
        assert (trajectories["output"] <= 1).all()


@pytest.mark.parametrize("form", FORMS)
def test_several_spikes_in_a_step_are_taken_one_after_the_other(form):
    x = torch.tensor([3.0, 0.0, 2.0, 1.0], dtype=torch.float64).reshape(-1, 1, 1)
    y = tdn.TsodyksMarkram(U, TAU_F, TAU_D, form=form, max_count=4).double()(x)
    single = reference([0, 0, 0, 2, 2, 3], form)
    expected = [sum(single[:3]), 0, sum(single[3:5]), single[5]]
    assert_close(y.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)


def test_a_larger_max_count_changes_neither_value_nor_gradient_of_single_spikes():
    results = []
    for max_count in (1, 3):
        x = torch.tensor([1.0, 0, 1, 1, 0], dtype=torch.float64).reshape(-1, 1, 1).requires_grad_()
        y = tdn.TsodyksMarkram(max_count=max_count).double()(x)
        y.sum().backward()
        results.append((y.detach(), x.grad))
    assert_close(results[0], results[1])
    assert (results[0][1] != 0).all()


def test_depression_only_and_facilitation_only_are_limits():
    x = regular_train(20.0, 10)
    depression = tdn.TsodyksMarkram(U, None, TAU_D, form="m98").double()
    facilitation = tdn.TsodyksMarkram(U, TAU_F, None).double()
    assert_close(depression(x), tdn.TsodyksMarkram(U, 1e-3, TAU_D, form="m98").double()(x))
    assert_close(facilitation(x), tdn.TsodyksMarkram(U, TAU_F, 1e-3).double()(x))
    spikes = x != 0
    assert (depression(x)[spikes].diff() < 0).all()
    assert (facilitation(x)[spikes].diff() > 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_gradients_in_every_parameter(form):
    x = regular_train(3.0, 4).expand(-1, 1, 3).clone()

    def run(x, U, tau_f, tau_d):
        module = tdn.TsodyksMarkram(tdn.Learned(0.3), tdn.Learned(40.0), tdn.Learned(25.0), form=form).double()
        return torch.func.functional_call(module, {"U.raw": U, "tau_f.raw": tau_f, "tau_d.raw": tau_d}, x)

    raw = [torch.full((3,), value, dtype=torch.float64, requires_grad=True) for value in (0.1, -0.2, 0.3)]
    # Counts stay inside their range, where the release is smooth in them.
    assert torch.autograd.gradcheck(run, ((x * 0.7 + 0.1).detach().requires_grad_(), *raw))
    for parameter in raw:
        assert torch.autograd.grad(run(x, *raw).sum(), parameter)[0].abs().min() > 0


def test_parameters_per_neuron_and_convolutional_input():
    U = torch.linspace(0.1, 0.9, 4).reshape(4, 1, 1)
    x = (torch.rand(30, 2, 4, 3, 5, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    y = tdn.TsodyksMarkram(U)(x)
    for channel in range(4):
        assert_close(y[:, :, channel], tdn.TsodyksMarkram(U[channel].item())(x[:, :, channel]))


def test_bfloat16_input_keeps_a_float32_state():
    x = regular_train(4.0, 20).to(torch.bfloat16)
    y, state = tdn.TsodyksMarkram().scan(x)
    assert y.dtype == torch.bfloat16
    assert {leaf.dtype for leaf in state} == {torch.float32}
    wide = tdn.TsodyksMarkram()(x.float())
    assert_close(y, wide.to(torch.bfloat16), rtol=0, atol=0)


@pytest.mark.parametrize("value", [-1.0, 2.0])
def test_counts_out_of_range_are_an_error(value):
    x = torch.zeros(5, 1, 3)
    x[2, 0, 1] = value
    with pytest.raises(ValueError, match=r"TsodyksMarkram: expected spike counts from 0 to 1 .*, got values .*; put"):
        tdn.TsodyksMarkram()(x)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"TsodyksMarkram: expected form to be one of 'tm', .* got 'm97'"):
        tdn.TsodyksMarkram(form="m97")
    with pytest.raises(ValueError, match=r"TsodyksMarkram.U: expected a number from 0 to 1"):
        tdn.TsodyksMarkram(U=1.5)
    with pytest.raises(ValueError, match="expected max_count to be 1, 2"):
        tdn.TsodyksMarkram(max_count=0)
    with pytest.raises(ValueError, match=r"expected max_count to be 1, 2, .*, got True"):
        tdn.TsodyksMarkram(max_count=True)


def test_learns_the_parameters_of_another_synapse():
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(150, 16, 1, generator=generator) < 0.05).float()
    goal = tdn.TsodyksMarkram(0.5, 50.0, 300.0)(x)
    student = tdn.TsodyksMarkram(tdn.Learned(0.2), tdn.Learned(100.0), tdn.Learned(100.0))
    optimizer = torch.optim.Adam(student.parameters(), lr=0.1)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (student(x) - goal).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 100
    assert np.isclose(student.U().item(), 0.5, atol=0.05)


def test_per_synapse_parameters_equal_one_module_per_synapse():
    torch.manual_seed(0)
    U = torch.rand(2, 3) * 0.8 + 0.1
    layer = tdn.PlasticLinear(3, 2, tdn.TsodyksMarkram(U))
    x = (torch.rand(40, 4, 3) < 0.3).float()
    y = layer(x)
    for i in range(2):
        released = tdn.TsodyksMarkram(U[i])(x)
        assert_close(y[..., i], released @ layer.weight[i])


def test_inside_a_recurrent_loop():
    torch.manual_seed(0)
    net = tdn.Recurrent(tdn.LIF(), tdn.PlasticLinear(5, 5, tdn.TsodyksMarkram(tdn.Learned(torch.full((5, 5), 0.4)))))
    spikes = net(torch.rand(60, 2, 5) * 3)
    assert spikes.sum() > 10
    spikes.sum().backward()
    assert net.connection.plasticity.U.raw.grad.abs().sum() > 0
