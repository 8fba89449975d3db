"""Models that would compute something else one step at a time are refused, whatever their example."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import State, register_state
from torchdyn_neuro.export import Layout, NotExportable, export_scan, export_step, trace


class OfFirstFrame(tdn.LIF):
    def initial_state(self, x_t):
        return super().initial_state(x_t)._replace(v=x_t.clone())


@register_state
class Sum(NamedTuple):
    """v: what has come in."""

    v: Tensor


class Growing(tdn.Dynamics):
    """Its state broadcasts to the neurons in the first step."""

    def initial_state(self, x_t: State) -> Sum:
        return Sum(x_t.new_zeros(len(x_t), 1))

    def step(self, x_t: State, state: Sum) -> tuple[Tensor, Sum]:
        return state.v + x_t, Sum(state.v + x_t)


class Widening(Growing):
    """Its state becomes a float in the first step."""

    def initial_state(self, x_t: State) -> Sum:
        return Sum(torch.zeros_like(x_t, dtype=torch.int64))


class Scans(nn.Module):
    """Goes past the forward of one of its cells."""

    def __init__(self):
        super().__init__()
        self.first, self.last = tdn.LeakyIntegrator(), tdn.LIF()

    def forward(self, x):
        return self.last(self.first.scan(x)[0])


class Steps(Scans):
    def forward(self, x):
        state, outputs = self.first.initial_state(x[0]), []
        for x_t in x:
            y_t, state = self.first.step(x_t, state)
            outputs.append(y_t)
        return self.last(torch.stack(outputs))


class Recurrence(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(3, 3)

    def forward(self, x):
        return self.layer(x)[0]


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(0)


class Position(nn.Module):
    def forward(self, x):
        return x + torch.arange(len(x), dtype=x.dtype)[:, None, None]


class Counter(nn.Module):
    count = 0

    def forward(self, x):
        self.count += 1
        return x * self.count


class Memory(nn.Module):
    """Keeps a tensor that is no buffer."""

    kept = 0.0

    def forward(self, x):
        self.kept = 0.5 * self.kept + x
        return self.kept


class Buffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        return x


LASTS = "all that lasts being in dynamics, got"
KEEPS = "keeps nothing but the states of its dynamics, got"


@pytest.mark.parametrize("x_t", [torch.zeros(1, 3), torch.ones(2, 3)], ids=["zeros", "ones"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: tdn.Chain(nn.Linear(3, 3), OfFirstFrame()), "follows from the shape of the input, got one of Chain"),
        (Growing, r"keeps its shapes and types, got Sum\(.* before a step of Growing and"),
        (Widening, r"keeps its shapes and types, got Sum\(torch.int64"),
        (Scans, r"called like any layer, layer\(x\).* of LeakyIntegrator at 'first'"),
        (Steps, r"called like any layer, layer\(x\).* of LeakyIntegrator at 'first'"),
        (lambda: nn.Sequential(Recurrence(), tdn.LIF()), f"{LASTS} GRU at '0.layer'"),
        (lambda: nn.Sequential(tdn.LIF(), Mean()), f"{LASTS} Mean at '1'"),
        (lambda: nn.Sequential(Position(), tdn.LIF()), f"{LASTS} Position at '0'"),
        (
            lambda: nn.Sequential(tdn.Stepwise(nn.BatchNorm1d(3, track_running_stats=False)), tdn.LIF()),
            f"{LASTS} BatchNorm1d at '0.module'",
        ),
        (lambda: nn.Sequential(Counter(), tdn.LeakyIntegrator()), f"{KEEPS} another result of the same frame"),
        (lambda: nn.Sequential(Memory(), tdn.LeakyIntegrator()), f"{KEEPS} another result of the same frame"),
        (lambda: nn.Sequential(Buffer(), tdn.LIF()), f"{KEEPS} the buffer '0.seen', which a step changes"),
    ],
)
def test_models_that_keep_something_elsewhere(model, words, x_t):
    torch.manual_seed(0)
    with pytest.raises(NotExportable, match=words):
        export_step(model().eval(), x_t)


class Extra(nn.Module):
    """Has a head that only training uses."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = tdn.LIF(), tdn.LIF()

    def forward(self, x):
        y = self.cell(x)
        return (y, self.head(y)) if self.training else y


def test_a_head_that_is_not_used_stays_behind():
    step = export_step(Extra().eval(), torch.zeros(1, 3))
    assert list(step.initial_state(2)) == ["cell.v"]


class Shared(nn.Module):
    """The same weights in two places, and beside them a chain with one cell in two places."""

    def __init__(self):
        super().__init__()
        cell, self.layer, self.out = tdn.LIF(2.0), nn.Linear(3, 3), tdn.LeakyIntegrator()
        self.chain = tdn.Chain(cell, self.layer, cell)

    def forward(self, x):
        return self.out(self.layer(self.chain(self.layer(x))))


def test_modules_in_two_places_have_a_state_in_each():
    torch.manual_seed(0)
    model, x = Shared().eval(), torch.rand(12, 2, 3)
    with torch.no_grad():
        model.layer.weight.mul_(10)
        expected = tdn.Streaming(model)(x)
    scan = export_scan(model, x[:1])
    assert list(scan.initial_state(2)) == ["chain.0.v", "chain.2.v", "out.v"]
    y, state = scan(x, scan.initial_state(2))
    assert_close(y, expected)
    assert not torch.equal(state["chain.0.v"], state["chain.2.v"])


def test_what_torch_compile_has_made_is_exported_as_it_was_written():
    model, x = nn.Sequential(nn.Linear(3, 3), tdn.LeakyIntegrator()).eval(), torch.rand(5, 2, 3)
    step = export_step(torch.compile(model, backend="eager"), x[0])
    state = step.initial_state(2)
    for x_t in x:
        y_t, state = step(x_t, state)
    assert_close(y_t, model(x)[-1].detach())


def test_chance_outside_of_dynamics_is_no_dependence_on_other_frames():
    class Jitter(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x + torch.rand_like(x))

    assert list(export_step(nn.Sequential(Jitter(), tdn.LIF()).eval(), torch.zeros(1, 3)).initial_state(1)) == ["1.v"]


def test_plasticity_that_takes_a_derivative_stays():
    plastic = tdn.Plastic(nn.Conv1d(1, 2, 2), tdn.Oja(), weights="mean")
    model = tdn.Chain(plastic, tdn.LIF()).eval()
    # Below torch 2.14 it fails before, in Chain.
    with pytest.raises(
        NotExportable, match=r"a step without derivatives in it, got .* in Conv1d at '0\.connection'|Fake"
    ):
        export_step(model, torch.ones(2, 1, 4))
    plastic.frozen = True
    step = export_step(model, torch.ones(2, 1, 4))
    assert_close(step.initial_state(1)["0.weight"], plastic.connection.weight.detach())


def test_operators_of_the_package_do_not_leave(monkeypatch):
    # As if one had been added without its form in torch.
    monkeypatch.setattr(trace, "in_torch", dict)
    model = tdn.LIF(noise=tdn.WhiteNoise()).eval()
    with pytest.raises(NotExportable, match=r"a process without this package has, got torchdyn_neuro\.normal"):
        export_step(model, torch.ones(2, 3))


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_state_may_start_at_what_is_no_number(value):
    class Starts(tdn.LIF):
        def initial_state(self, x_t: State) -> State:
            return super().initial_state(x_t)._replace(v=torch.full_like(x_t, value))

    layout = Layout.from_json(export_step(Starts().eval(), torch.ones(1, 3)).layout.to_json())
    assert_close(layout.initial_state(2)["v"], torch.full((2, 3), value), equal_nan=True)


def test_calls_without_steps_or_rows():
    scan = export_scan(tdn.LIF().eval(), torch.ones(1, 1, 3))
    with pytest.raises(ValueError, match=r"one step and one row at least, got {'steps': 0, 'batch': 2}"):
        scan(torch.ones(0, 2, 3), scan.initial_state(2))
    with pytest.raises(ValueError, match="expected rows to be at least 1, got 0"):
        scan.initial_state(0)


def test_a_layout_of_another_format_is_not_read():
    text = export_step(tdn.LIF().eval(), torch.ones(1, 3)).layout.to_json()
    with pytest.raises(ValueError, match="expected format 1, got 2; read the file with the version"):
        Layout.from_json(text.replace('"format": 1', '"format": 2'))
