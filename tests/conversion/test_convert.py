"""Networks of ReLUs as networks of spiking neurons: what is exact is exact, the rest follows its equation."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.conversion import convert


def with_statistics(model):
    """Norms with running statistics and weights that matter, biases too."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for value in (part.running_mean, part.bias.data):
                value.uniform_(-0.3, 0.3)
            for value in (part.running_var, part.weight.data):
                value.uniform_(0.5, 1.5)
    return model.eval()


def shown(x, steps):
    return x.expand(steps, *x.shape)


class Residual(nn.Module):
    """Functions, methods and a sum beside modules; one ReLU in two places."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(n, 4, 3, padding=1) for n in (2, 4, 4))
        self.norm, self.relu, self.head = nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(16, 3)

    def forward(self, x):
        x = functional.relu(self.first(x), inplace=True)
        y = self.relu(self.norm(self.second(x)))
        y = self.relu(self.third(y) + x)
        y = functional.dropout(functional.avg_pool2d(y, kernel_size=2), 0.5, training=self.training)
        return self.head(torch.flatten(y, 1))


NETS = {
    "dense": lambda: nn.Sequential(
        nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 16), nn.ReLU6(), nn.Linear(16, 3)
    ),
    "convolutional": lambda: nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Identity(), nn.Linear(8, 3)),
    ),
    "residual": Residual,
}


def inputs(name, rows=40):
    return torch.rand(rows, *((8,) if name == "dense" else (2, 4, 4)), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETS)
def test_the_mean_output_comes_near_the_output_of_the_network(name):
    torch.manual_seed(1)
    model, x = with_statistics(NETS[name]()), inputs(name)
    before = copy.deepcopy(model.state_dict())
    spiking, expected = convert(model, x, percentile=100.0), model(x)
    with torch.no_grad(), tdn.backend("eager"):
        errors = [(spiking(shown(x, steps)).mean(0) - expected).abs().max().item() for steps in (16, 64, 256)]
    scale = expected.std().item()
    assert errors[2] < 0.06 * scale
    # One over the time, but for spikes of the layer in front that come unevenly.
    assert errors[0] > 2.5 * errors[1] > 2 * errors[2]
    assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)
    assert not spiking.training
    tdn.check(spiking)


def test_one_layer_is_a_quantized_relu():
    """After T steps of a constant current the count is floor(T a / theta + v), clipped to 0 and T."""
    model, steps = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU()).double(), 10
    nn.init.ones_(model[0].weight)
    x = torch.linspace(-1.03, 2.06, 41, dtype=torch.float64).unsqueeze(1)
    spiking = convert(model, torch.tensor([[0.8], [0.2]]).double(), percentile=100.0, v_init=0.5)
    counts = np.clip(np.floor(steps * x.numpy() / 0.8 + 0.5), 0, steps)
    with torch.no_grad():
        y = spiking(shown(x, steps))
    np.testing.assert_allclose(y.mean(0), 0.8 * counts / steps, atol=1e-12)


def test_thresholds_are_percentiles_of_the_activations():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False), nn.ReLU())
    nn.init.constant_(model[0].weight, 2.0)
    nn.init.constant_(model[2].weight, 3.0)
    x = torch.arange(1.0, 1001.0).unsqueeze(1)[torch.randperm(1000)]
    cells = [part for part in convert(model, x.split(300), percentile=99.0).modules() if isinstance(part, tdn.IF)]
    assert [float(cell.v_th()) for cell in cells] == [1980.0, 5940.0]
    assert [float(cell.v_init()) for cell in cells] == [990.0, 2970.0]


def test_max_pooling_takes_the_largest_count():
    torch.manual_seed(0)
    x = (torch.rand(30, 2, 3, 5, 6) < torch.rand(2, 3, 5, 6)).float()
    pool = tdn.layers.SpikingMaxPool2d(2)
    y, _ = pool.scan(x)
    counts = x.sum(0).numpy()[..., :4, :].reshape(2, 3, 2, 2, 3, 2).max((3, 5))
    assert set(y.unique().tolist()) == {0.0, 1.0}
    np.testing.assert_array_equal(y.sum(0), counts)
    first, state = pool.scan(x[:11])
    assert_close(torch.cat([first, pool.scan(x[11:], state)[0]]), y, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"SpikingMaxPool2d: expected images over time .*, got shape \(30, 2, 3\)"):
        pool(x[..., 0, 0])


def test_a_converted_network_is_a_network():
    model, x = with_statistics(NETS["convolutional"]()), inputs("convolutional")
    spiking = convert(model, x)
    y = spiking(shown(x, 8))
    with tdn.backend("eager"):
        assert_close(spiking(shown(x, 8)), y)
        assert_close(copy.deepcopy(spiking)(shown(x, 8)), y)
        assert_close(pickle.loads(pickle.dumps(spiking))(shown(x, 8)), y)
        live = tdn.Streaming(spiking)
        assert_close(torch.stack([live.step(x) for _ in range(8)]), y, rtol=1e-5, atol=1e-5)
    assert len(tdn.activity_report(spiking, shown(x, 8))) == 2
    assert convert(copy.deepcopy(model).bfloat16(), x.bfloat16())(shown(x.bfloat16(), 4)).dtype == torch.bfloat16


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), r"got 1, a GELU; replace it and train again"),
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Softmax(1)), "got 2, a Softmax"),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4)), "expected batch norms .* got _1 elsewhere"),
        (Mean(), r"got mean\(\.\.\.\)"),
        (TwoInputs(), "expected one input, got a second one, y"),
        (Branches(), "which torch.fx cannot follow"),
        (nn.Sequential(nn.Linear(4, 4), tdn.LIF()), "got 1, a LIF"),
    ],
)
def test_what_cannot_be_converted(model, message):
    with pytest.raises(ValueError, match=f"convert: .*{message}"):
        convert(model, torch.rand(5, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percentile": 101.0}, "expected a percentile up to 100, got 101.0"),
        ({"percentile": 0.0}, "expected percentile above 0"),
        ({"v_init": 1.5}, "v_init"),
        ({"dt": -1.0}, "dt"),
    ],
)
def test_numbers_that_are_not_usable(options, message):
    with pytest.raises(ValueError, match=message):
        convert(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.rand(5, 4), **options)
    with pytest.raises(TypeError, match="expected a batch of inputs as a tensor, or batches whose first part is one"):
        convert(nn.Linear(4, 4), [3])


@pytest.mark.parametrize("parametrized", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_that_are_computed_from_others_are_scaled_too(parametrized):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), parametrized(nn.Linear(32, 3))).eval()
    with torch.no_grad():
        net[0].weight.mul_(6.0)  # a threshold far from 1
    x = torch.rand(64, 8)
    wanted = net(x).detach()
    assert_close(
        convert(net, x, percentile=100)(shown(x, 200)).mean(0), wanted, atol=0.02 * float(wanted.abs().max()), rtol=0
    )
    assert parametrize.is_parametrized(net[2])


def test_weights_of_hooks_are_refused():
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    prune.l1_unstructured(net[2], "weight", 0.5)
    with pytest.raises(ValueError, match=r"got 2, a Linear whose weight a hook computes; .*prune\.remove"):
        convert(net, torch.rand(4, 8))
    prune.remove(net[2], "weight")
    convert(net, torch.rand(4, 8))


class UsesAgain(nn.Module):
    """What the ReLU in place has changed goes into the sum."""

    def __init__(self):
        super().__init__()
        self.linear, self.relu = nn.Linear(8, 8), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.linear(x)
        return self.relu(y) + y


class DropsAlways(nn.Module):
    def forward(self, x):
        return functional.dropout(functional.relu(x), 0.5, training=True)


@pytest.mark.parametrize("model", [UsesAgain, DropsAlways])
def test_what_the_layers_one_by_one_do_not_do_is_refused(model):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=f"give what {model.__name__} gives, got other outputs; "):
        convert(model(), torch.rand(4, 8))


@pytest.mark.parametrize("x", [torch.zeros(0, 8), torch.full((2, 8), torch.nan), torch.ones(2, 8, dtype=torch.int64)])
def test_inputs_that_cannot_be_used_are_refused(x):
    with pytest.raises(ValueError, match="expected finite inputs in floats, at least one"):
        convert(nn.Linear(8, 3), x)
