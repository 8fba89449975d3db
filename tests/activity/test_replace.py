import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18

import torchdyn_neuro as tdn

from .models import transformer


def cells(model):
    return [module for module in model.modules() if isinstance(module, tdn.LIF)]


def test_each_place_gets_its_own_and_is_named(capsys):
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 4), relu, nn.Linear(4, 4), relu, nn.Sequential(nn.Linear(4, 2), nn.ReLU()))
    names = tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=tdn.Learned(3.0), adaptation=tdn.AdaptiveThreshold())
    assert names == ["1.dynamics", "3.dynamics", "4.1.dynamics"]
    assert capsys.readouterr().out == "replaced 3: 1, 3, 4.1\n"
    found = cells(model)
    assert [model.get_submodule(name) for name in names] == found
    assert len({id(part) for cell in found for part in (cell, cell.tau_mem.raw, cell.adaptation)}) == 9
    assert not any(isinstance(module, nn.ReLU) for module in model.modules())


def test_a_module_called_twice_gives_way_to_one_for_each_call():
    model = resnet18(num_classes=3)
    names = tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=2.0, verbose=False)
    assert len(names) == 17  # one behind each convolution but the three of the shortcuts, see He et al. (2016), fig. 3
    assert "layer1.0.relu.0.dynamics" in names
    assert len(cells(model)) == 17
    calls = []
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    whole = tdn.Stepwise(model)
    x = torch.rand(2, 1, 3, 32, 32)
    whole.eval()
    whole(x)
    assert calls == names
    # A copy counts for itself, a pass that ends early leaves nothing behind, and states are carried per place.
    other = copy.deepcopy(whole)
    y = other(x)
    with pytest.raises(RuntimeError):
        whole(torch.rand(2, 1, 4, 32, 32))
    torch.testing.assert_close(whole(x), y)
    live = tdn.Streaming(whole)
    torch.testing.assert_close(torch.cat([live(x[:1]), live(x[1:])]), y)


def test_a_call_too_many_raises():
    class Thrice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.again = False

        def forward(self, x):
            x = self.act(self.act(x))
            return self.act(x) if self.again else x

    model = Thrice()
    assert tdn.replace(model, nn.ReLU, tdn.LIF, verbose=False) == ["act.0.dynamics", "act.1.dynamics"]
    x = torch.rand(4, 2, 3)
    tdn.Stepwise(model)(x)
    model.again = True
    with pytest.raises(RuntimeError, match="expected 2 calls in a forward of its owner, got one more"):
        tdn.Stepwise(model)(x)


def test_transformer_keeps_its_dynamics_in_evaluation():
    torch.manual_seed(0)
    model = transformer()
    names = tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=2.0, v_th=0.2, verbose=False)
    assert names == ["1.layers.0.activation.dynamics", "1.layers.1.activation.dynamics"]
    whole = tdn.Stepwise(model)
    tdn.check(whole)
    x = torch.rand(5, 4, 6, 5)
    trained = whole(x).detach()
    ran = []
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda module, inputs, y: ran.append(y.mean().item()))
    whole.eval()
    with torch.no_grad():
        torch.testing.assert_close(whole(x), trained)
    assert len(ran) == 2
    assert min(ran) > 0
    # With a mask of padding the encoder would make the input a nested tensor, which time cannot be unfolded from.
    encoder, padding = model[1], torch.tensor([[False] * 4 + [True] * 2] * 20)

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder

        def forward(self, tokens):
            return self.encoder(tokens, src_key_padding_mask=padding)

    tokens = torch.rand(5, 4, 6, 16)
    masked = tdn.Stepwise(Masked())
    expected = masked.train()(tokens).detach()
    with torch.no_grad():
        torch.testing.assert_close(masked.eval()(tokens), expected)


def test_without_unfolding_classes_predicates_and_copies():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2), nn.Tanh())
    names = tdn.replace(model, (nn.ReLU, nn.GELU), tdn.LIF(tau_mem=7.0), unfold=False, verbose=False)
    assert names == ["1", "3"]
    assert model[1] is not model[3]
    assert model[3].tau_mem().item() == 7
    assert tdn.replace(model, lambda module: module is model[5], tdn.LeakyIntegrator, unfold=False, verbose=False) == [
        "5"
    ]
    assert model(torch.rand(6, 2, 3)).shape == (6, 2, 2)


def test_new_cells_are_as_the_model_is():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).double().eval()
    tdn.replace(model, nn.ReLU, tdn.LIF, verbose=False)
    assert not model[1].dynamics.training
    assert tdn.Stepwise(model)(torch.rand(5, 2, 3, dtype=torch.float64)).dtype == torch.float64


class WithFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.act = nn.Linear(3, 3), nn.ReLU()

    def forward(self, x):
        return functional.relu(self.linear(self.act(x)))


def test_functions_in_a_forward_are_named():
    with pytest.warns(UserWarning, match=r"left the calls of functions in the forward of 0 \(WithFunction\)"):
        names = tdn.replace(nn.Sequential(WithFunction()), nn.ReLU, tdn.LIF, verbose=False)
    assert names == ["0.act.dynamics"]
    model = WithFunction()
    model.act = nn.Identity()
    with pytest.raises(ValueError, match=r"expected ReLU in WithFunction, found none, and left .* model \(WithFunct"):
        tdn.replace(model, nn.ReLU, tdn.LIF)


def test_nothing_to_replace_raises():
    model = nn.Sequential(nn.Linear(3, 3), nn.GELU())
    with pytest.raises(ValueError, match="expected ReLU in Sequential, found none; name a class that is there"):
        tdn.replace(model, nn.ReLU, tdn.LIF)
    with pytest.raises(TypeError, match="expected dynamics, got ReLU"):
        tdn.replace(model, nn.GELU, nn.ReLU)
    with pytest.raises(TypeError, match="expected no tau_mem beside a ready LIF"):
        tdn.replace(model, nn.GELU, tdn.LIF(), tau_mem=3.0)
    assert isinstance(model[1], nn.GELU)


@pytest.mark.parametrize("what", ["ReLU", nn.ReLU(), (nn.ReLU, "GELU"), None], ids=str)
def test_what_is_to_be_replaced_is_a_class_or_a_function(what):
    with pytest.raises(TypeError, match="replace: expected a class of modules, a tuple of classes or a function"):
        tdn.replace(nn.Sequential(nn.ReLU()), what, tdn.LIF)


def test_layers_of_a_chain_and_connections_are_found():
    """There the dynamics stand as they are, for the container threads their states."""
    relus = [nn.ReLU() for _ in range(4)]
    connection = tdn.Chain(nn.Linear(4, 4), relus[2])
    model = nn.Sequential(
        tdn.Chain(nn.Linear(3, 4), relus[0], nn.Linear(4, 4), named=relus[1]),
        tdn.Recurrent(tdn.LIF(), connection),
        tdn.Network(tdn.LIF(), relus[3], delay=1.0),
    )
    names = tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=2.0, verbose=False)
    assert names == ["0.1", "0.named", "1.connection.1", "2.connection"]
    assert all(type(model.get_submodule(name)) is tdn.LIF for name in names)
    x = torch.rand(12, 2, 3)
    torch.manual_seed(0)
    assert model(x).shape == (12, 2, 4)
    chain = model[0]
    expected = tdn.Chain(chain[0], tdn.LIF(2.0), chain[2], tdn.LIF(2.0))
    assert torch.equal(chain(x), expected(x))
    y, state = chain.scan(x[:5])
    assert torch.equal(torch.cat([y, chain.scan(x[5:], state)[0]]), chain(x))
    tdn.check(model)


def test_a_chain_without_time_takes_the_step_of_what_comes_in():
    chain = tdn.Chain(nn.Linear(3, 4), nn.ReLU())
    tdn.replace(chain, nn.ReLU, tdn.AdEx, verbose=False)
    assert chain.dt == 0.1
    assert chain(torch.rand(4, 2, 3)).shape == (4, 2, 4)
    mixed = tdn.Chain(nn.ReLU(), tdn.LIF())
    before = list(mixed)
    with pytest.raises(ValueError, match=r"replace: expected dynamics with the dt of the Chain at top, 1 ms, got 0\.1"):
        tdn.replace(mixed, nn.ReLU, tdn.AdEx, verbose=False)
    assert list(mixed) == before
    tdn.replace(mixed, nn.ReLU, tdn.AdEx, dt=1.0, integrator=tdn.ExponentialEuler(), verbose=False)
    assert mixed(torch.rand(4, 2, 3)).shape == (4, 2, 3)


@pytest.mark.parametrize(
    "build",
    [
        lambda: tdn.Chain(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), tdn.LIF()),
        lambda: tdn.Chain(tdn.Stepwise(nn.ReLU()), tdn.LIF()),
        lambda: tdn.Recurrent(tdn.LIF(), nn.Sequential(nn.Linear(3, 3), nn.ReLU())),
    ],
)
def test_what_a_container_runs_without_a_state_is_refused(build):
    model = build()
    before = repr(model)
    with pytest.raises(ValueError, match=r"replace: expected ReLU as a layer of a Chain, got it at .*; use a Chain"):
        tdn.replace(model, nn.ReLU, tdn.LIF, verbose=False)
    assert repr(model) == before
