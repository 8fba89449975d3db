"""What spike_times takes and refuses, and what it leaves alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.events import spike_times
from torchdyn_neuro.events.cells import EventCell

DURATION = 60.0


def test_an_initial_state_goes_on_where_another_run_ended():
    """The current left by an arrival is a state; plain tuples and lists are taken as well."""
    module = tdn.SynapticLIF(torch.linspace(8, 15, 3).double(), 6.0, t_ref=2.0).double()
    nothing = torch.zeros(2, 0).double(), torch.zeros(2, 0, 3).double()
    weight = torch.tensor([[2.0, 5.0, 9.0], [0.0, 20.0, 4.0]]).double()
    expected = spike_times(module, torch.zeros(2, 1).double(), weight[:, None], DURATION, most_spikes=4)
    assert 4 < torch.isfinite(expected).sum() < 24
    zeros = torch.zeros(2, 3).double()
    for state in (tdn.SynapticLIFState(zeros, weight, zeros - 1), [zeros, weight, zeros - 1, (), ()]):
        assert torch.equal(spike_times(module, *nothing, DURATION, state, most_spikes=4), expected)
    # In the refractory period the potential stands still, while the current goes on.
    held = spike_times(module, *nothing, DURATION, (zeros, weight, zeros + 3.0, (), ()))[..., 0]
    later = spike_times(module, *nothing, DURATION, (zeros, weight * np.exp(-3 / 6.0), zeros - 1, (), ()))[..., 0]
    torch.testing.assert_close(held, later + 3.0, rtol=1e-12, atol=1e-12)


def test_threads_share_one_module():
    module = tdn.SynapticLIF(torch.linspace(8, 15, 9), tdn.Learned(6.0), t_ref=2.0)
    generator = torch.Generator().manual_seed(0)
    time = (30 * torch.rand(4, 12, generator=generator)).sort(-1).values
    weight = 2 * torch.randn(4, 12, 9, generator=generator) + 1

    def run(_=None):
        return spike_times(module, time, weight, DURATION, most_spikes=3)

    expected = run()
    assert 10 < torch.isfinite(expected).sum() < expected.numel()
    with ThreadPoolExecutor(6) as pool:
        for times in pool.map(run, range(24)):
            assert torch.equal(times, expected)
    assert module.tau_mem.bound is None
    assert module.tau_syn.bound is None
    module.tau_mem.value.mul_(2)  # nothing is frozen
    assert not torch.equal(run(), expected)


def test_an_error_inside_leaves_the_module_as_it_was(monkeypatch):
    module = tdn.SynapticLIF(torch.tensor([8.0, 9.0]), 6.0)
    before = {name: quantity() for name, quantity in module.quantities()}
    arguments = torch.tensor([[1.0]]), torch.full((1, 1, 2), 9.0), DURATION

    def fail(*_):
        raise RuntimeError("inside")

    with monkeypatch.context() as patch:
        patch.setattr(EventCell, "reset", fail)
        with pytest.raises(RuntimeError, match="inside"):
            spike_times(module, *arguments)
    assert all(
        quantity() is not None and torch.equal(quantity(), before[name]) for name, quantity in module.quantities()
    )
    assert torch.isfinite(spike_times(module, *arguments)).all()


def test_whole_numbers_arrays_and_lists_are_taken():
    module = tdn.SynapticLIF(10.0, 5.0)
    expected = spike_times(module, torch.tensor([[1.0, 2.0]]), torch.tensor([[[9.0], [9.0]]]), 30)
    assert torch.isfinite(expected).all()
    for time, weight in (
        (torch.tensor([[1, 2]]), torch.tensor([[[9], [9]]])),
        (np.array([[1, 2]]), np.array([[[9.0], [9.0]]], dtype=np.float32)),
        ([[1, 2]], [[[9.0], [9.0]]]),
    ):
        assert torch.equal(spike_times(module, time, weight, np.float64(30.0)), expected)


ONE = torch.tensor([[1.0, 2.0]]), torch.ones(1, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((torch.tensor([[2.0, 1.0]]), ONE[1], 10.0), {}, ValueError, "ascending"),
        ((torch.tensor([[torch.nan, 1.0]]), ONE[1], 10.0), {}, ValueError, "ascending"),
        ((torch.tensor([[-1.0, 1.0]]), ONE[1], 10.0), {}, ValueError, "from 0 on, got -1 ms"),
        ((ONE[0], ONE[1] * torch.nan, 10.0), {}, ValueError, "weight to be finite, got nan"),
        ((ONE[0], ONE[1] * torch.inf, 10.0), {}, ValueError, "weight to be finite, got inf"),
        ((ONE[0], ONE[1].expand(2, 2, 3), 10.0), {}, ValueError, "give one weight per event and neuron"),
        ((ONE[0], ONE[1].double(), 10.0), {}, TypeError, "weight in torch.float32, as the neurons, got torch.float64"),
        ((ONE[0].double().numpy(), ONE[1], 10.0), {}, TypeError, "time in torch.float32, as the neurons"),
        ((ONE[0], "text", 10.0), {}, TypeError, "weight to be a tensor or numbers, got str"),
        ((*ONE, float("nan")), {}, ValueError, "duration at least 0 ms, got nan"),
        ((*ONE, float("inf")), {}, ValueError, "duration at least 0 ms, got inf"),
        ((*ONE, -1.0), {}, ValueError, "duration at least 0 ms, got -1"),
        ((*ONE, 10.0), {"most_spikes": 0}, ValueError, "most_spikes to be at least 1, got 0"),
        ((*ONE, 10.0), {"most_spikes": 1.5}, TypeError, "most_spikes to be an integer, got 1.5"),
        ((*ONE, 10.0, tdn.LIF().initial_state(torch.zeros(1, 3))), {}, ValueError, "expected a state SynapticLIFState"),
        ((*ONE, 10.0, (torch.zeros(1, 2), torch.zeros(1, 3), (), (), ())), {}, ValueError, "same number of neurons"),
        ((*ONE, 10.0, (torch.full((1, 3), torch.nan), torch.zeros(1, 3), (), (), ())), {}, ValueError, "got NaN"),
    ],
)
def test_wrong_arguments_raise(arguments, options, error, message):
    with pytest.raises(error, match=message):
        spike_times(tdn.SynapticLIF(), *arguments, **options)


def test_quantities_that_do_not_fit_raise():
    with pytest.raises(ValueError, match=r"tau_mem to broadcast to the neurons \(3,\)"):
        spike_times(tdn.LIF(torch.ones(2)), *ONE, 10.0)


def test_a_threshold_that_learning_has_moved_below_the_reset_raises():
    module = tdn.LIF(v_th=tdn.Learned(1.0))
    with torch.no_grad():
        module.v_th.raw -= 2.0
    with pytest.raises(ValueError, match="v_th above the potential after a spike, got v_th = -1"):
        spike_times(module, *ONE, 10.0)
