import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

GENERATOR_SEED = 3


def noise(*shape, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(GENERATOR_SEED), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("delay", "dt", "steps"), [(0.0, 1.0, 0), (4.0, 1.0, 4), (0.3, 0.1, 3), (0.7, 0.1, 7)])
def test_whole_steps_shift_the_input_bit_for_bit(delay, dt, steps):
    x = noise(12, 2, 3)
    y = tdn.Delay(delay, dt=dt)(x)
    assert_close(y[steps:], x[: 12 - steps], rtol=0, atol=0)
    assert (y[:steps] == 0).all()


def test_one_delay_per_neuron_and_convolutional_shape():
    delays = torch.tensor([0.0, 3.0, 5.0]).reshape(3, 1, 1)
    x = noise(12, 2, 3, 2, 2)
    y = tdn.Delay(delays)(x)
    for channel, steps in enumerate((0, 3, 5)):
        assert_close(y[steps:, :, channel], x[: 12 - steps, :, channel], rtol=0, atol=0)
        assert (y[:steps, :, channel] == 0).all()


def test_fractional_delay_interpolates():
    x = noise(12, 2, 3)
    y = tdn.Delay(2.25)(x)
    assert_close(y[3:], 0.75 * x[1:10] + 0.25 * x[:9])
    assert_close(tdn.Delay(2.25, max_delay=9.0)(x), y, rtol=0, atol=0)


def modules():
    learned = tdn.Learned(torch.tensor([0.4, 3.3, 5.0]))
    return {
        "axonal": tdn.Delay(learned, max_delay=7.0),
        "gaussian": tdn.Delay(learned, max_delay=7.0, kernel="gaussian"),
        "per synapse": tdn.DelayedLinear(3, 2, tdn.Learned(noise(2, 3) * 6 + 0.2), max_delay=7.0, bias=True),
        "per synapse, gaussian": tdn.DelayedLinear(3, 2, tdn.Learned(3.0), max_delay=7.0, kernel="gaussian"),
    }


@pytest.mark.parametrize("name", modules())
def test_gradient_against_finite_differences(name):
    module, x = modules()[name].double(), noise(10, 2, 3, dtype=torch.float64).requires_grad_()
    start = noise(2, 7, 3, dtype=torch.float64).requires_grad_()

    def run(x, history, raw):
        state = tdn.DelayState(history)
        shifted = _Scan(module)
        return torch.func.functional_call(shifted, {"module.delay.raw": raw}, (x, state))

    raw = module.delay.raw.detach() + 0.05
    assert torch.autograd.gradcheck(run, (x, start, raw.requires_grad_()))
    assert torch.autograd.grad(run(x, start, raw)[0].square().sum(), raw)[0].abs().min() > 0


class _Scan(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x, state):
        y, state = self.module.scan(x, state)
        return y, state.history


@pytest.mark.parametrize("name", modules())
def test_pieces_and_frames_are_the_whole(name):
    module, x = modules()[name], noise(20, 2, 3)
    exact = isinstance(module, tdn.Delay)  # a convolution may sum in another order for another length
    tolerance = {"rtol": 0, "atol": 0} if exact else {}
    whole = module(x)
    live = tdn.Streaming(module)
    assert_close(torch.cat([live(x[:3]), live(x[3:15]), live(x[15:])]), whole.detach(), **tolerance)
    live.reset()
    assert_close(torch.stack([live.step(frame) for frame in x]), whole.detach(), **tolerance)
    first, state = module.scan(x[:6])
    second, _ = module.scan(x[6:], state)
    assert_close(torch.cat([first, second]), whole, **tolerance)


@pytest.mark.parametrize("name", modules())
def test_outputs_of_another_type(name):
    module, x = modules()[name], noise(6, 2, 3)
    y, state = module.scan(x, output_dtype=torch.float16)
    expected, last = module.scan(x)
    assert_close(y, expected.half(), rtol=0, atol=0)
    assert_close(state.history, last.history, rtol=0, atol=0)
    spikes, _ = tdn.Delay(2.0).scan((x > 0.5).float(), output_dtype=torch.bool)
    assert spikes.dtype == torch.bool
    assert torch.equal(spikes[2:], x[:-2] > 0.5)


def test_arguments_are_attributes():
    module = tdn.Delay(3.0, max_delay=8.0, kernel="gaussian", width=4.0, final_width=0.2, dt=0.5)
    assert (module.max_delay, module.kernel, module.width.item(), module.final_width) == (8.0, "gaussian", 4.0, 0.2)
    assert tdn.Delay(3.0, kernel="gaussian", dt=0.5).final_width == 0.25
    assert tdn.Delay(torch.tensor([3.0, 5.0])).max_delay == 5.0


@pytest.mark.parametrize("name", modules())
def test_bfloat16_input_keeps_a_float32_state(name):
    y, state = modules()[name].scan(noise(6, 2, 3, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert state.history.dtype == torch.float32


@pytest.mark.parametrize(
    "delay", [2.0, 2.5, torch.tensor([1.0, 0.0, 4.0]), torch.tensor([[1.0, 2.5, 3], [0, 4, 1.25]])]
)
def test_delayed_linear_is_a_weighted_sum_of_delays(delay):
    layer, x = tdn.DelayedLinear(3, 2, delay), noise(15, 4, 3)
    delays = torch.as_tensor(delay).expand(2, 3)
    expected = torch.stack([(tdn.Delay(delays[i], max_delay=4.0)(x) * layer.weight[i]).sum(-1) for i in range(2)], -1)
    assert_close(layer(x), expected)


def test_gaussian_weights_are_normalised_and_narrow_to_the_delay():
    module = tdn.Delay(3.0, max_delay=8.0, kernel="gaussian", width=4.0, final_width=0.2)
    lags = torch.arange(9.0)
    for progress, width in ((0.0, 4.0), (0.5, math.sqrt(0.8)), (1.0, 0.2)):
        module.anneal(progress)
        weights = torch.exp(-((lags - 3) ** 2) / 2 / width**2)
        assert_close(module.lag_weights(), weights / weights.sum())
    x = noise(20, 2, 3)
    assert_close(module(x), tdn.Delay(3.0)(x), rtol=0, atol=1e-4)  # what is left of the Gaussian at one step
    assert "width" in module.state_dict()


@pytest.mark.parametrize("lag", [4, 11])
def test_learned_delay_finds_the_lag_of_a_coincidence(lag):
    """Two inputs carry the same spikes, one of them ``lag`` steps later: which delay makes them coincide?"""
    source = (torch.rand(200, 16, 1, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    goal = torch.cat([torch.zeros(lag, 16, 1), source[:-lag]])
    module = tdn.Delay(tdn.Learned(8.0), max_delay=16.0, kernel="gaussian", width=5.0)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for step in range(80):
        module.anneal(step / 79)
        optimizer.zero_grad()
        loss = -(module(source) * goal).mean()
        loss.backward()
        optimizer.step()
    assert abs(module.delay().item() - lag) < 0.5


def test_inside_a_recurrent_loop_it_adds_to_the_step_that_is_there():
    connection = nn.Linear(1, 1, bias=False)
    nn.init.constant_(connection.weight, 100.0)
    x = torch.zeros(20, 1, 1)
    x[0] = 100.0
    for delay, period in ((0.0, 1), (2.0, 3), (4.0, 5)):
        loop = tdn.Recurrent(tdn.LIF(reset="zero"), tdn.Chain(tdn.Delay(delay), connection))
        times = loop(x).flatten().nonzero().flatten()
        assert times.tolist() == list(range(0, 20, period))
        assert loop(x).shape == x.shape
    learned = tdn.DelayedLinear(1, 1, tdn.Learned(2.5), max_delay=6.0)
    nn.init.constant_(learned.weight, 20.0)
    tdn.Recurrent(tdn.LeakyIntegrator(), learned)(x).square().sum().backward()
    assert learned.delay.raw.grad.abs() > 0


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"Delay.delay: expected a delay from 0 to max_delay = 5 ms, got 6 ms; pass"):
        tdn.Delay(6.0, max_delay=5.0)
    with pytest.raises(ValueError, match=r"DelayedLinear.delay: expected a delay from 0 to max_delay = 5 ms, got 6"):
        tdn.DelayedLinear(2, 2, torch.tensor([1.0, 6.0]), max_delay=5.0)
    with pytest.raises(ValueError, match=r"Delay.delay: expected a delay from 0 .*, got -1 ms"):
        tdn.Delay(-1.0, max_delay=5.0)
    with pytest.raises(ValueError, match=r"Delay: expected max_delay with a learned delay, got none; pass"):
        tdn.Delay(tdn.Learned(3.0))
    with pytest.raises(ValueError, match=r'Delay: expected kernel="gaussian" to anneal'):
        tdn.Delay(3.0).anneal(0.5)
    for kind in (tdn.Delay, lambda *args, **options: tdn.DelayedLinear(2, 2, *args, **options)):
        for unused in ({"width": 2.0}, {"final_width": 1.0}):
            name = next(iter(unused))
            with pytest.raises(ValueError, match=rf"expected no {name} with kernel=\"linear\", got [12] ms; drop it"):
                kind(3.0, **unused)
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"Delay: expected final_width above 0 ms"):
            tdn.Delay(3.0, kernel="gaussian", final_width=wrong)
        with pytest.raises(ValueError, match=r"Delay: expected width above 0 ms"):
            tdn.Delay(3.0, kernel="gaussian", width=wrong)
    with pytest.raises(ValueError, match=r"Delay: expected width above 0 ms, got 0"):
        tdn.Delay(0.0, kernel="gaussian")  # a quarter of the longest delay
    for wrong in (-0.1, math.nan):
        with pytest.raises(ValueError, match=r"Delay: expected progress at least 0"):
            tdn.Delay(3.0, kernel="gaussian").anneal(wrong)
    with pytest.raises(ValueError, match=r"DelayedLinear: expected one delay, \(3,\) or \(2, 3\), got shape \(2,\)"):
        tdn.DelayedLinear(3, 2, torch.ones(2))
    with pytest.raises(ValueError, match=r"DelayedLinear: expected an input \[T, B, \*, 3\], got shape"):
        tdn.DelayedLinear(3, 2)(torch.zeros(4, 1, 2))
