"""What a user sets acts or is refused; what would give a wrong result says so."""

import inspect
import pickle
import typing

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.contract_cases import concrete_dynamics

HIGH = 30.0


def drive(steps=30, neurons=4):
    return HIGH * torch.rand(steps, 3, neurons, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: tdn.AdEx(v_rest=-60.0), "v_rest"),
        (lambda: tdn.ConductanceLIF(v_rest=-60.0), "v_rest"),
        (lambda: tdn.GLIF(v_rest=-60.0), "v_rest"),
        (lambda: tdn.HodgkinHuxley(t_ref=2.0), "t_ref"),
        (lambda: tdn.BalancedResonateAndFire(t_ref=2.0), "t_ref"),
        (lambda: tdn.AdEx(v_th=0.0), "v_th"),
        (lambda: tdn.LIF(unit="mV"), "unit"),
        (lambda: tdn.ALIF(rule=tdn.Threshold), "rule"),
        (lambda: tdn.LIF(tau_men=3.0), "tau_men"),
    ],
)
def test_an_argument_of_the_base_that_the_cell_does_not_use_is_refused(build, name):
    with pytest.raises(
        TypeError, match=rf"expected arguments of this cell or surrogate, .*, got {name}; leave that out"
    ):
        build()


def test_a_cell_that_takes_anything_takes_what_its_base_takes():
    assert tdn.ALIF(t_ref=3.0, R=2.0).t_ref == 3.0

    class Own(tdn.LIF):
        def __init__(self, gain=1.0, **options):
            super().__init__(20.0 * gain, **options)

    assert Own(v_th=2.0).v_th() == 2
    with pytest.raises(TypeError, match=r"Own: expected arguments of this cell.*got gian"):
        Own(gian=2.0)


@pytest.mark.parametrize("part", [{"adaptation": tdn.AdaptiveThreshold()}, {"noise": tdn.EscapeNoise()}], ids=str)
@pytest.mark.parametrize("cell", [tdn.AdEx, tdn.EIF, tdn.QIF, tdn.Izhikevich])
def test_a_part_that_moves_a_threshold_which_only_counts_is_refused(cell, part):
    """An upstroke that runs away reaches v_peak plus anything in microseconds: nothing would change."""
    with pytest.raises(ValueError, match=r"expected no (adaptation|noise), or one that acts as a current"):
        cell(**part)


@pytest.mark.parametrize("name", ["adaptation", "noise"])
def test_a_part_that_is_set_later_acts(name):
    part = {"adaptation": tdn.AdaptiveThreshold(beta=900.0), "noise": tdn.WhiteNoise(30.0)}[name]
    cell, expected = tdn.LIF(4.0), tdn.LIF(4.0, **{name: part})
    setattr(cell, name, part)
    torch.manual_seed(0)
    y = cell(drive())
    torch.manual_seed(0)
    assert torch.equal(y, expected(drive()))
    assert not torch.equal(y, tdn.LIF(4.0)(drive()))
    setattr(cell, name, None)
    assert torch.equal(cell(drive()), tdn.LIF(4.0)(drive()))
    assert torch.equal(pickle.loads(pickle.dumps(expected))(drive()).sum(), expected(drive()).sum()) or name == "noise"


def test_a_step_that_is_set_later_reaches_what_is_counted_in_steps():
    cell = tdn.LIF(4.0, t_ref=3.0)
    cell.dt = 0.5
    assert torch.equal(cell(drive()), tdn.LIF(4.0, t_ref=3.0, dt=0.5)(drive()))
    with pytest.raises(ValueError, match=r"t_ref to be a whole number of steps of 0\.7 ms"):
        cell.dt = 0.7
    assert cell.dt == 0.5
    with pytest.raises(ValueError, match="LIF: expected dt above 0 ms, got -1"):
        cell.dt = -1
    with pytest.raises(ValueError, match="step below twice tau_mem for Euler"):
        tdn.LIF(4.0, integrator=tdn.Euler()).dt = 10.0


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("integrator", "rk4", TypeError, "expected integrator to be an integrator such as Euler"),
        ("adaptation", tdn.WhiteNoise(), TypeError, "expected adaptation to be an adaptation such as"),
        ("noise", "white", TypeError, "expected noise to be a noise such as WhiteNoise"),
        ("surrogate", tdn.ATan, TypeError, "expected a surrogate such as ATan"),
        ("detach_reset", "no", TypeError, "expected detach_reset to be True or False, got 'no'"),
        ("reset", "substract", ValueError, "expected reset to be one of"),
        ("t_ref", -1.0, ValueError, "expected t_ref at least 0 ms"),
        ("v_th", tdn.Real(-3.0), ValueError, "expected v_th above v_rest"),
        ("v_reset", tdn.Real(-1.0), ValueError, 'expected v_reset with reset="value" only'),
        ("integrator", tdn.EulerMaruyama(), ValueError, "expected an equation with noise"),
    ],
)
def test_what_is_set_later_is_checked_as_in_the_constructor(name, value, error, message):
    cell = tdn.LIF(4.0)
    before = repr(cell)
    with pytest.raises(error, match=message):
        setattr(cell, name, value)
    assert repr(cell) == before
    assert torch.equal(cell(drive()), tdn.LIF(4.0)(drive()))


def test_the_printed_scheme_keeps_what_it_fixes():
    cell = tdn.Izhikevich(scheme="izhikevich2003")
    with pytest.raises(ValueError, match="without integrator, t_ref, adaptation or noise"):
        cell.integrator = tdn.RK4()
    x = torch.full((200, 1, 2), 10.0)
    # Two half steps see the two halves of a straight line; without a coupling a network is its neurons.
    assert cell.scan(x, input="linear")[0].sum() > 0
    loose = tdn.Network(cell, tdn.GapJunction(2, 0.0), source="v")
    assert torch.equal(loose(x), cell(x))


def test_a_jump_over_a_refractory_period_takes_the_period_as_it_is_given():
    """The decay in the jump of a GLIF neuron is that of t_ref, also where t_ref is no whole number of steps."""
    times = []
    for dt in (1.0, 0.25):
        cell = tdn.GLIF(3, t_ref=3.75, integrator=tdn.Interpolated(tdn.RK4()), dt=dt).double()
        seen = tdn.record(cell, torch.full((int(60 / dt), 1, 1), 700.0).double(), ["output", "refractory"])
        found = tdn.crossing_times(seen["output"], seen["refractory"], cell)
        times.append(found[~found.isnan()])
    assert_close(times[0][:5], times[1][:5], atol=1e-3, rtol=0)


def test_crossing_times_want_the_two_trajectories_of_one_run():
    cell = tdn.LIF(4.0, integrator=tdn.Interpolated(tdn.RK4()))
    seen = tdn.record(cell, drive(), ["output", "refractory"])
    spikes, refractory = seen["output"], seen["refractory"]
    with pytest.raises(ValueError, match="expected spikes of 0 and 1"):
        tdn.crossing_times(refractory, spikes, cell)
    with pytest.raises(ValueError, match="expected spikes of 0 and 1"):
        tdn.crossing_times(spikes, refractory + 1, cell)
    with pytest.raises(ValueError, match="of one run, got shapes"):
        tdn.crossing_times(spikes[1:], refractory, cell)
    with pytest.raises(TypeError, match="expected a spiking cell, got Linear"):
        tdn.crossing_times(spikes, refractory, nn.Linear(2, 2))


def test_an_input_that_goes_in_a_line_is_refused_in_words_by_all_that_cannot_take_it():
    for module in (tdn.Chain(nn.Linear(4, 4), tdn.LIF()), tdn.Delay(2.0), tdn.DelayedLinear(4, 4, 1.0)):
        with pytest.raises(ValueError, match=f"{type(module).__name__}: expected input='held'"):
            module.scan(drive(), input="linear")
        with pytest.raises(ValueError, match="expected input to be one of 'held', 'linear'"):
            module.scan(drive(), input="line")
        assert torch.equal(module.scan(drive(), input="held")[0], module(drive()))


@pytest.mark.parametrize("bound", ["5", torch.tensor([1.0, 2.0]), True], ids=str)
def test_a_range_is_two_numbers(bound):
    with pytest.raises(TypeError, match="expected low and high to be numbers"):
        tdn.LIF(tdn.Learned(20.0, low=bound))


MIXING = {
    "softmax": (nn.Softmax(0), (4,), "treat each row of the batch by itself, got Softmax"),
    "inside": (nn.Sequential(nn.Linear(4, 4), nn.LogSoftmax(0)), (4,), "got LogSoftmax"),
    "attention": (nn.TransformerEncoderLayer(4, 2, 8), (5, 4), "take the batch first, got MultiheadAttention"),
    "tokens": (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (4,), r"frames \[B, tokens, features\]"),
}


@pytest.mark.parametrize("name", MIXING)
def test_layers_that_would_mix_steps_and_rows_are_refused(name):
    layer, shape, message = MIXING[name]
    for model in (tdn.Chain(layer, tdn.LeakyIntegrator()), tdn.Stepwise(layer)):
        with pytest.raises(ValueError, match=message):
            model(torch.rand(6, 3, *shape))
    fine = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0)
    chain = tdn.Chain(fine, tdn.LeakyIntegrator())
    x = torch.rand(6, 3, 5, 4)
    state, outputs = chain.initial_state(x[0]), []
    for frame in x:
        y, state = chain.step(frame, state)
        outputs.append(y)
    assert_close(chain(x), torch.stack(outputs))


def test_a_state_for_a_layer_that_has_none_is_refused():
    chain, x = tdn.Chain(nn.Linear(4, 4), tdn.LIF()), drive()
    _, last = chain.scan(x)
    with pytest.raises(ValueError, match=r"Chain: expected \(\) for layer 0, a Linear which has no state, got"):
        chain.scan(x, (last[1], last[1]))
    with pytest.raises(ValueError, match=r"expected a tuple of 2 states, one per layer, got \(LIFState"):
        chain.scan(x, (last[1],))
    assert torch.equal(chain.scan(x, [[], last[1]])[0], chain.scan(x, last)[0])


class Forgetful(tdn.Spiking, integrator=tdn.RK4(), surrogate=tdn.ATan()):
    """A user's cell whose state does not hold what attaches to it."""

    def __init__(self, **options):
        super().__init__(v_th=1.0, **options)

    def initial_state(self, x_t):
        return tdn.IFState(v=tdn.zeros_state(x_t))

    def derivative(self, x_t, state):
        return tdn.IFState(v=x_t)

    def membrane(self):
        return tdn.Membrane(gain=torch.ones(()))


def test_a_state_without_what_attaches_is_refused():
    x = torch.ones(3, 1, 2)
    Forgetful()(x)
    for options in ({"noise": tdn.WhiteNoise()}, {"adaptation": tdn.SpikeFrequencyAdaptation()}):
        with pytest.raises(ValueError, match=rf"Forgetful: expected a state with {next(iter(options))}, got IFState"):
            Forgetful(**options)(x)
    with pytest.raises(ValueError, match="Forgetful: expected a state with refractory"):
        Forgetful(integrator=tdn.Interpolated(tdn.RK4()))(x)


def test_a_cell_without_defaults_says_what_it_wants():
    class Bare(tdn.Spiking):
        def __init__(self, **options):
            super().__init__(v_th=1.0, **options)

    with pytest.raises(TypeError, match=r"Bare: expected .*integrator such as Euler"):
        Bare(surrogate=tdn.ATan())
    with pytest.raises(TypeError, match="Bare: expected a surrogate such as ATan"):
        Bare(integrator=tdn.RK4())


NAMED = {
    tdn.ALIF: "adaptation",
    tdn.AdLIF: "adaptation",
    tdn.AdaptiveLIF: "adaptation",
    tdn.EscapeLIF: "noise",
    tdn.ParametricLIF: None,
    tdn.ParallelLIF: None,
}


@pytest.mark.parametrize("cls", NAMED, ids=lambda cls: cls.__name__)
def test_a_named_special_case_shows_all_that_it_takes(cls):
    """In its signature, with types and defaults, in its documentation, and to a type checker."""
    shown = inspect.signature(cls).parameters
    assert {"tau_mem", "R", "v_rest", "v_th", "surrogate", "integrator", "v_init", "dt"} <= set(shown)
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in shown.values())
    assert inspect.Parameter.empty not in {parameter.annotation for parameter in shown.values()}
    assert shown["R"].default == 1
    assert shown["surrogate"].default == tdn.ATan()
    assert shown.get("reset", shown["R"]).default == {"ParametricLIF": "zero", "ParallelLIF": 1.0}.get(
        cls.__name__, "subtract"
    )
    text = cls.__doc__.partition("Args:")[2].partition("\n\n")[0]
    assert all(f" {name}:" in text for name in shown)
    # What it shows it takes, and nothing else.
    assert isinstance(
        cls(**{name: parameter.default for name, parameter in shown.items() if name != "detach_reset"}), cls
    )
    taken = NAMED[cls]
    assert taken not in shown
    for name in ("tau_men", *([taken] if taken else [])):
        with pytest.raises(TypeError, match=rf"{cls.__name__}: expected arguments of this cell.*, got {name}"):
            cls(**{name: None})


def test_no_cell_takes_options_without_a_type():
    """Keywords typed ``Any`` show nothing, to nobody."""
    untyped = [
        cls.__name__
        for cls in concrete_dynamics()
        if issubclass(cls, tdn.Spiking)
        for parameter in inspect.signature(cls.__init__).parameters.values()
        if parameter.kind is parameter.VAR_KEYWORD and typing.get_origin(parameter.annotation) is not typing.Unpack
    ]
    assert not untyped
