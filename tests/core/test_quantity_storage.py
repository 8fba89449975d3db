"""Quantities that are cast, copied, built without memory and loaded from the checkpoint of another model."""

import copy
import io
import math
import pickle

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.quantities import readable

CASTS = {
    "double": (lambda m: m.double(), torch.float64),
    "half, double": (lambda m: m.half().double(), torch.float64),
    "to": (lambda m: m.to(torch.float64), torch.float64),
    "bfloat16, float": (lambda m: m.bfloat16().float(), torch.float32),
    "double, float, bfloat16, double": (lambda m: m.double().float().bfloat16().double(), torch.float64),
    "copied and cast": (lambda m: copy.deepcopy(copy.deepcopy(m).half()).double(), torch.float64),
    "pickled and cast": (lambda m: pickle.loads(pickle.dumps(m.half())).double(), torch.float64),
    "meta, to_empty, double": (lambda m: m.to("meta").to_empty(device="cpu").double(), torch.float64),
}


@pytest.mark.parametrize("case", CASTS)
@pytest.mark.parametrize("learned", [False, True])
def test_a_float_keeps_its_value(case, learned):
    cast, dtype = CASTS[case]
    cell = cast(tdn.LIF(tdn.Learned(17.3) if learned else 17.3))
    for quantity in cell.children():
        if isinstance(quantity, tdn.Positive):
            quantity.reset_parameters()  # to_empty leaves a learned one as it comes
    assert cell.tau_mem().dtype == dtype
    assert cell.tau_mem().item() == torch.tensor(17.3, dtype=dtype).item()
    assert cell.tau_mem.start.dtype == dtype


@pytest.mark.parametrize("learned", [False, True])
def test_a_tensor_keeps_its_value(learned):
    for given in (torch.tensor([17.3, 0.1], dtype=torch.float64), torch.tensor([17.3, 0.1])):
        quantity = tdn.Positive(tdn.Learned(given) if learned else given)
        assert torch.equal(quantity.float().half().to(given.dtype)(), given)


def test_an_integer_keeps_its_value():
    assert tdn.Real(2**24 + 1).double()().item() == 2**24 + 1


@pytest.mark.parametrize("write", ["fill_", "data", "load", "assign", "buffer"])
def test_what_is_written_later_counts(write):
    quantity = tdn.Positive(17.3)
    if write == "fill_":
        quantity.value.fill_(0.7)
    elif write == "data":
        quantity.value.data = torch.tensor(0.7)
    elif write == "buffer":
        quantity.value = torch.tensor(0.7)
    else:
        quantity.load_state_dict({"value": torch.tensor(0.7)}, assign=write == "assign")
    assert quantity.double()().item() == torch.tensor(0.7).item()
    assert quantity.bfloat16().double()().item() == torch.tensor(0.7).item()


def test_a_wide_checkpoint_keeps_its_value():
    quantity = tdn.Positive(17.3)
    quantity.load_state_dict(tdn.Positive(0.7).double().state_dict())
    assert quantity().dtype == torch.float32
    assert quantity.double()().item() == 0.7


def test_what_learning_found_is_kept():
    cell = tdn.LIF(tdn.Learned(17.3))
    with torch.no_grad():
        torch.nn.utils.vector_to_parameters(torch.tensor([0.25]), cell.parameters())
    assert_close(cell.double().tau_mem().item(), 17.3 * math.exp(0.25))
    average = torch.optim.swa_utils.AveragedModel(cell)
    average.update_parameters(cell)
    assert_close(average.module.half().double().tau_mem().item(), 17.3 * math.exp(0.25))


def test_other_changes_of_a_module_are_left_alone():
    quantity = tdn.Positive(17.3)
    quantity._apply(lambda tensor: tensor.double() * 2)
    assert quantity().item() == 2 * torch.tensor(17.3).item()
    quantity = tdn.Positive(17.3)
    assert quantity.share_memory().value.is_shared()


def test_a_whole_model_saved_with_torch():
    file = io.BytesIO()
    torch.save(tdn.LIF(17.3), file)
    file.seek(0)
    assert torch.load(file, weights_only=False).double().tau_mem().item() == 17.3


def run(cell):
    x = torch.linspace(0, 3, 60).reshape(10, 2, 3)
    y, state = cell.scan(x)
    return (y, state.v)


META = {
    "LIF": lambda: tdn.LIF(17.3, t_ref=2.0),
    "a value for each neuron": lambda: tdn.LIF(torch.tensor([5.0, 10.0, 20.0])),
    "learned": lambda: tdn.LIF(tdn.Learned(17.3, low=5.0), v_th=tdn.Learned(0.7)),
    "explicit": lambda: tdn.LIF(17.3, reset="value", v_reset=-0.5, integrator=tdn.RK4()),
    "synaptic": lambda: tdn.SynapticLIF(10.0, 5.0),
    "readout": lambda: tdn.LeakyIntegrator(17.3),
    "AdEx": lambda: tdn.AdEx(),
    "EIF": lambda: tdn.EIF(),
    "QIF": lambda: tdn.QIF(),
    "GLIF": lambda: tdn.GLIF(),
    "TwoCompartment": lambda: tdn.TwoCompartment(),
}


@pytest.mark.parametrize("case", META)
def test_built_on_the_meta_device_and_filled(case):
    source = META[case]()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.fill_(0.3)
    with torch.device("meta"):
        cell = META[case]()
    assert {tensor.device.type for tensor in cell.state_dict().values() if tensor.shape != (2,)} == {"meta"}
    assert "not yet loaded" in repr(cell)
    cell.to_empty(device="cpu")
    for tensor in (*cell.parameters(), *cell.buffers()):
        tensor.data.fill_(-7.0)  # what fresh memory may hold
    cell.load_state_dict(source.state_dict())
    assert_close(run(cell), run(source), rtol=0, atol=0)
    with torch.device("meta"):
        cell = META[case]()
    cell.load_state_dict(source.state_dict(), assign=True)
    assert_close(run(cell), run(source), rtol=0, atol=0)


def test_floats_survive_without_memory():
    with torch.device("meta"):
        cell = tdn.LIF(17.3, v_th=tdn.Learned(0.7))
    cell.to_empty(device="cpu")
    cell.v_th.reset_parameters()
    assert_close(run(cell), run(tdn.LIF(17.3, v_th=tdn.Learned(0.7))), rtol=0, atol=0)


def test_values_that_cannot_be_looked_at():
    with FakeTensorMode():
        cell = tdn.LIF(torch.ones(3), integrator=tdn.RK4(), dt=0.1)
        assert not readable(cell.tau_mem)
        assert not readable(cell.tau_mem.start, torch.ones(3))
    assert not readable(torch.ones(3), tdn.LIF().to("meta").tau_mem)
    assert readable(tdn.Positive(3.0), torch.ones(3))
    with torch.device("meta"), pytest.raises(ValueError, match="Delay: expected max_delay with delays whose values"):
        tdn.Delay(torch.ones(3))


def learned(value, raw, **limits):
    quantity = tdn.Positive(tdn.Learned(value, **limits))
    with torch.no_grad():
        quantity.raw.copy_(torch.as_tensor(raw))
    return quantity


THREE = torch.tensor([3.0, 4.0, 5.0])
ONE = {
    "fixed": lambda: tdn.Positive(10.0),
    "learned": lambda: learned(10.0, 0.5),
    "in a range": lambda: learned(10.0, 0.5, low=5.0, high=40.0),
    "above": lambda: learned(10.0, 0.5, low=5.0),
}
EACH = {
    "fixed each": lambda: tdn.Positive(THREE),
    "learned each": lambda: learned(THREE + 5, THREE / 9),
    "each in a range": lambda: learned(THREE + 5, THREE / 9, low=5.0, high=40.0),
    "each below": lambda: learned(THREE + 5, THREE / 9, high=40.0),
}


def expected_value(name):
    """By the formulas of the docstring, in float64."""
    if name == "fixed":
        return torch.tensor(10.0)
    if name == "fixed each":
        return THREE
    start, raw = (THREE.double() + 5, THREE.double() / 9) if "each" in name else (torch.tensor(10.0).double(), 0.5)
    factor = raw.exp() if isinstance(raw, torch.Tensor) else math.exp(raw)
    if "range" in name:
        return (5 + 35 / (1 + (40 - start) / (start - 5) / factor)).float()
    if "above" in name:
        return (5 + (start - 5) * factor).float()
    if "below" in name:
        return (40 / (1 + (40 - start) / start / factor)).float()  # a time constant is above 0 too
    return (start * factor).float()


@pytest.mark.parametrize("source", [*ONE, *EACH])
@pytest.mark.parametrize("target", [*ONE, *EACH])
def test_a_checkpoint_of_another_kind(source, target):
    saved, quantity = {**ONE, **EACH}[source](), {**ONE, **EACH}[target]()
    cell, other = tdn.LIF(), tdn.LIF()
    cell.tau_mem, other.tau_mem = quantity, saved
    value = expected_value(source)
    if source in EACH and target in ONE:
        with pytest.raises(
            RuntimeError, match=r"tau_mem.\w+: expected one value, got shape \(3,\) in the check.*; build"
        ):
            cell.load_state_dict(other.state_dict())
        return
    if source == "fixed each" and "range" in target:
        with pytest.raises(
            RuntimeError, match=r"tau_mem.initial: expected a number from 5 to 40 strictly.*, got 3; build"
        ):
            cell.load_state_dict(other.state_dict())
        return
    before = copy.deepcopy(other.state_dict())
    result = cell.load_state_dict(other.state_dict())
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert_close(saved(), value)
    assert_close(quantity(), value.expand(quantity().shape))
    assert_close(quantity(), saved().expand(quantity().shape), rtol=2e-7, atol=0)
    assert_close(dict(other.state_dict()), dict(before), rtol=0, atol=0)
    if quantity.learned:
        quantity().sum().backward()
        assert (quantity.raw.grad > 0).all()


def test_a_checkpoint_of_another_kind_in_a_model():
    def build(tau):
        return tdn.Chain(torch.nn.Linear(3, 3), tdn.LIF(tau), tdn.LeakyIntegrator())

    x = torch.rand(20, 2, 3, generator=torch.Generator().manual_seed(0)) * 5
    saved = build(10.0)
    for tau in (tdn.Learned(20.0), torch.tensor([1.0, 2.0, 3.0]), tdn.Learned(torch.ones(3))):
        model = build(tau)
        model.load_state_dict(saved.state_dict())
        assert_close(model(x), saved(x), rtol=0, atol=0)


def test_a_checkpoint_of_a_learned_delay_under_another_limit():
    saved = tdn.Delay(tdn.Learned(3.0), max_delay=10.0)
    with torch.no_grad():
        saved.delay.raw.fill_(0.4)
    value = 10 / (1 + math.exp(-0.4) * 7 / 3)
    for module in (tdn.Delay(1.0, max_delay=5.0), tdn.Delay(tdn.Learned(1.0), max_delay=7.0)):
        module.load_state_dict(saved.state_dict())
        assert_close(module.delay().item(), value, rtol=1e-6, atol=0)
    with pytest.raises(RuntimeError, match=r"delay.value: expected a delay from 0 to max_delay = 2 ms, got 3.9\d* ms"):
        tdn.Delay(1.0, max_delay=2.0).load_state_dict(saved.state_dict())
    # One that was saved without its range had that of the module.
    entries = {name: value for name, value in saved.state_dict().items() if not name.endswith("range")}
    twin = tdn.Delay(tdn.Learned(1.0), max_delay=10.0)
    twin.load_state_dict(entries)
    assert_close(twin.delay().item(), value, rtol=1e-6, atol=0)


def test_what_a_checkpoint_lacks_or_has_too_much_is_reported():
    cell = tdn.LIF()
    with pytest.raises(RuntimeError, match=r"Missing key.*tau_mem.value"):
        cell.load_state_dict({name: entry for name, entry in cell.state_dict().items() if "tau" not in name})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*tau_mem.other"):
        cell.load_state_dict({**cell.state_dict(), "tau_mem.other": torch.ones(())})
    with pytest.raises(
        RuntimeError, match=r"g.initial: expected 0 or a number above it strictly inside .*, got 0; build"
    ):
        torch.nn.ModuleDict({"g": tdn.NonNegative(tdn.Learned(1.0))}).load_state_dict({"g.value": torch.zeros(())})


def test_entries_are_those_of_tensors_only():
    assert set(tdn.LIF(tdn.Learned(3.0)).tau_mem.state_dict()) == {"initial", "raw"}
    quantity = learned(10.0, 0.5, low=5.0, high=40.0)
    assert set(quantity.state_dict()) == {"initial", "raw", "range"}
    assert torch.func.functional_call(quantity, dict(quantity.state_dict()), ()).item() == quantity().item()
