"""What does not fuse says so, and what changes the step is never missed."""

import copy
import itertools
import pickle
import warnings
from typing import NamedTuple

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves
from torchdyn_neuro.fused.operators import registry

from .test_shipped import drive


class Trace(NamedTuple):
    s: torch.Tensor


class Custom(tdn.Dynamics):
    """A step given as a function of the module, the input and the state."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.gain = 2.0
        self.offset = torch.ones(13, dtype=torch.float64)
        self.register_buffer("weight", torch.linspace(0, 1, 13, dtype=torch.float64))

    def initial_state(self, x_t):
        return Trace(torch.zeros_like(x_t))

    def step(self, x_t, state):
        s = self.function(self, x_t, state.s)
        return s, Trace(s)


NOT_POINTWISE = {
    "mean": lambda m, x, s: s + x - x.mean(-1, keepdim=True),
    "roll": lambda m, x, s: x.roll(1, -1),
    "cumsum": lambda m, x, s: x.cumsum(-1),
    "flip": lambda m, x, s: x.flip(-1),
    "mm": lambda m, x, s: x @ torch.ones(13, 13, dtype=x.dtype),
    "randn": lambda m, x, s: s + torch.randn_like(x),
    "bernoulli": lambda m, x, s: torch.bernoulli(torch.sigmoid(x)),
    "max": lambda m, x, s: s + x if x.max() > 0 else s,
    "sum": lambda m, x, s: s + x.sum(),
    "neither its argument": lambda m, x, s: s + m.offset * x,
    "in place": lambda m, x, s: s.add_(x),
    "shapes": lambda m, x, s: s + x / x.shape[-1],
    "shapes or the values": lambda m, x, s: s + x * x.detach().numpy().max(),
    "slice": lambda m, x, s: s + x[:, :1],
    "turns from": lambda m, x, s: (s + x).float(),
}


@pytest.mark.parametrize("named", NOT_POINTWISE)
def test_not_pointwise(named):
    module = Custom(NOT_POINTWISE[named])
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match=rf"Custom.*{named}"):
        module(drive())


def test_auto_warns_once_and_runs_eagerly():
    class Averaging(Custom):
        pass

    module = Averaging(NOT_POINTWISE["mean"])
    with pytest.warns(UserWarning, match=r"Averaging: expected.*aten\.mean"):
        y = module(drive())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(module(drive()), y)
    with tdn.backend("eager"):
        assert torch.equal(module(drive()), y)


def test_a_class_that_says_so_does_not_warn():
    class Known(Custom):
        pointwise = False

    Known(NOT_POINTWISE["mean"])(drive())


def test_buffers_and_plain_parameters_are_operands():
    module = Custom(lambda m, x, s: 0.5 * s + m.gain * m.weight * x)
    with tdn.backend("cpp"):
        y = module(drive())
        module.weight = module.weight * 2
        torch.testing.assert_close(module(drive()), 2 * y)
        module.gain = 4.0
        torch.testing.assert_close(module(drive()), 4 * y)


def test_the_step_changes_with_the_module():
    cell = tdn.LIF().double()
    x = drive()

    def same():
        with tdn.backend("cpp"):
            fused = cell(x)
        with tdn.backend("eager"):
            return torch.equal(fused, cell(x)), fused

    seen = [same()]
    cell.reset = "zero"
    seen.append(same())
    cell.dt = 5.0
    seen.append(same())
    cell.integrator = tdn.Euler()
    seen.append(same())
    cell.v_th = tdn.Real(torch.tensor(0.5, dtype=torch.float64))
    seen.append(same())
    assert all(equal for equal, _ in seen)
    assert all(not torch.equal(a, b) for (_, a), (_, b) in itertools.pairwise(seen))
    factor = 1.0
    custom = Custom(lambda m, x, s: s + factor * x)
    with tdn.backend("cpp"):
        y = custom(x)
        factor = 3.0
        torch.testing.assert_close(custom(x), 3 * y)


def test_new_sizes_need_no_new_loop():
    cell = tdn.LIF().double()
    with tdn.backend("cpp"):
        cell(drive())
        count = len(registry._loops)
        for shape in ((1, 1, 1), (50, 1, 700), (3, 9, 2)):
            cell(drive(*shape))
    assert len(registry._loops) == count


def test_copies_and_pickles_after_use():
    chain = tdn.Chain(nn.Linear(13, 13), tdn.ExponentialSynapse(), tdn.LIF(tau_mem=tdn.Learned(5.0))).double()
    y = chain(drive())
    for twin in (copy.deepcopy(chain), pickle.loads(pickle.dumps(chain))):
        assert torch.equal(twin(drive()), y)
        twin[2].tau_mem.raw.data += 1.0
        assert not torch.equal(twin(drive()), y)
    assert torch.equal(chain(drive()), y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_inputs_keep_a_wide_state(dtype):
    cell = tdn.LIF(tau_mem=tdn.Learned(5.0))
    readout = tdn.LeakyIntegrator()
    results = []
    for name in ("cpp", "eager"):
        x = drive(dtype=torch.float32).to(dtype).requires_grad_()
        with tdn.backend(name):
            spikes, state = cell.scan(x)
            y, _ = readout.scan(spikes)
            gradients = torch.autograd.grad((y * y.detach()).sum(), [x, cell.tau_mem.raw])
        assert spikes.dtype == y.dtype == gradients[0].dtype == dtype
        assert state.v.dtype == torch.float32
        results.append((spikes, y, *gradients))
    assert results[0][0].sum() > 0
    for fused, eager in zip(results[0][:-1], results[1][:-1], strict=True):
        torch.testing.assert_close(fused, eager)
    # A sum over all steps and neurons in float32, in another order.
    torch.testing.assert_close(results[0][-1], results[1][-1], rtol=1e-5, atol=0)


def test_gradients_that_do_not_arrive():
    torch.manual_seed(0)
    for cell in (tdn.LeakyIntegrator(), tdn.Recurrent(tdn.LeakyIntegrator(), nn.Linear(2, 2))):
        cell = cell.double()
        x = drive(3, 1, 2).requires_grad_()
        with tdn.backend("cpp"):
            assert torch.autograd.gradcheck(lambda x, cell=cell: leaves(cell.scan(x)), x)


def test_autocast():
    net = nn.Sequential(nn.Linear(13, 8), tdn.LIF(tau_mem=tdn.Learned(5.0)))
    results = []
    for name in ("cpp", "eager"):
        with tdn.backend(name), torch.autocast("cpu", torch.bfloat16):
            y = net(drive(dtype=torch.float32))
            results.append((y, *torch.autograd.grad(y.float().sum(), list(net.parameters()))))
    assert results[0][0].dtype == torch.bfloat16
    for fused, eager in zip(*results, strict=True):
        torch.testing.assert_close(fused, eager)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
def test_spikes_as_small_integers(dtype):
    cell = tdn.LIF(tau_mem=tdn.Learned(5.0)).double()
    spikes, _ = cell.scan(drive())
    with tdn.backend("cpp"):
        small, _ = cell.scan(drive(), output_dtype=dtype)
    assert small.dtype == dtype
    assert torch.equal(small.double(), spikes)
    with tdn.backend("eager"):
        assert torch.equal(cell.scan(drive(), output_dtype=dtype)[0], small)


def test_what_is_kept_for_the_backward_pass():
    cell = tdn.Chain(*(tdn.SynapticLIF(tau_mem=tdn.Learned(9.0)) for _ in range(2)))
    x = drive(100, 4, 32, dtype=torch.float32).requires_grad_()
    kept = []
    with (
        tdn.backend("cpp"),
        torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t),
    ):
        cell(x)
    assert sum(kept) <= 1.45 * x.nbytes  # 1.4 and the operands of one value or one frame
    kept.clear()
    with tdn.backend("cpp"), torch.no_grad(), torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        cell(x)
    assert not kept


def test_transforms_of_torch_func_run_eagerly():
    cell = tdn.LIF(tau_mem=tdn.Learned(5.0)).double()
    x = drive()
    gradient = torch.func.grad(lambda x: cell(x).sum())(x)
    y = cell(x.requires_grad_())
    torch.testing.assert_close(gradient, torch.autograd.grad(y.sum(), x)[0])


OLD_COMPILER = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 15),
    reason="the compiler of torch below 2.15 fails on the backward pass of a surrogate for sizes of any length",
)


@pytest.mark.parametrize("dynamic", [False, pytest.param(True, marks=OLD_COMPILER)])
def test_compiled_by_torch(dynamic):
    torch.manual_seed(0)
    recurrent = tdn.Recurrent(tdn.LIF(), nn.Linear(13, 13))
    net = tdn.Chain(tdn.ExponentialSynapse(), tdn.LIF(tau_mem=tdn.Learned(5.0)), recurrent).double()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    # For sizes of its own it is compiled anew; for any size, once.
    for steps in (5, 9) if dynamic else (5,):
        x = drive(steps).requires_grad_()
        results = []
        for model in (net, compiled):
            y = model(x)
            results.append((y, *torch.autograd.grad(y.sum(), [x, *net.parameters()], allow_unused=True)))
        for plain, by_torch in zip(*results, strict=True):
            torch.testing.assert_close(by_torch, plain)
    net[1].reset = "zero"
    assert torch.equal(compiled(x), net(x))
