"""Wherever a time is given, one that is none is refused in the words of the house."""

import importlib
import inspect
import math
import pkgutil

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn

NAMES = ("dt", "duration", "settle", "t_ref", "delay", "max_delay")
NEEDED = {
    "Network": lambda: {"neuron": tdn.LIF(), "connection": nn.Linear(2, 2)},
    "Plastic": lambda: {"connection": nn.Linear(2, 2), "rule": tdn.Hebbian()},
    "SpikingMaxPool2d": lambda: {"kernel_size": 2},
    "SpikingDelayNet": lambda: {"input_shape": (3,), "classes": 2},
    "BatchNormThroughTime": lambda: {"features": 3, "steps": 2},
    "TemporalEffectiveBatchNorm": lambda: {"features": 3, "steps": 2},
    "DelayedLinear": lambda: {"in_features": 2, "out_features": 2},
    "Given": lambda: {"pre": torch.tensor([0]), "post": torch.tensor([0])},
    "Projection": lambda: {"source": "A", "target": "A", "wiring": tdn.wiring.OneToOne(), "weight": 1.0},
    "Spikes": lambda: {
        **dict.fromkeys(("step", "neuron"), torch.ones(1)),
        "begin": 0,
        "end": 1,
        "populations": {"A": 1},
    },
    "convert": lambda: {
        "model": nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)),
        "data": torch.ones(1, 2),
    },
    "from_nir": lambda: {"graph": "a.nir"},
    "from_snntorch": lambda: {"model": nn.Identity()},
    "from_spikingjelly": lambda: {"model": nn.Identity()},
    "set_dt": lambda: {"model": tdn.LIF()},
    "postsynaptic_potential": lambda: {"dynamics": tdn.LIF()},
    "events_from_grid": lambda: {"spikes": torch.ones(3, 2)},
    "events_to_grid": lambda: {"events": tdn_events(), "steps": 3, "units": 2},
    "filter_events": lambda: {"module": tdn.ExponentialSynapse(), "events": tdn_events(), "units": 2, "duration": 4.0},
    "spike_times": lambda: {"module": tdn.LIF(), "time": torch.ones(1, 1), "weight": torch.ones(1, 1, 1)},
    "EventNetwork": lambda: {"module": tdn.LIF(), "weight": torch.ones(2, 2)},
    "CTRNN": lambda: {"units": 3},
    "DivisiveNormalization": lambda: {"units": 3},
    "EchoState": lambda: {"units": 3},
    "EINetwork": lambda: {"excitatory": 2, "inhibitory": 1},
    "KWinnersTakeAll": lambda: {"units": 3},
    "RateNetwork": lambda: {"units": 3},
    "WinnerTakeAll": lambda: {"units": 3},
    "f_i_curve": lambda: {"cell": tdn.LIF(), "currents": torch.ones(2)},
    "limit_cycle": lambda: {"system": torch.neg, "start": torch.ones(1)},
    "lyapunov_spectrum": lambda: {"system": torch.neg, "start": torch.ones(1)},
    "step_stability": lambda: {"system": torch.neg, "state": torch.zeros(1)},
    "power_spectrum": lambda: {"signal": torch.ones(9)},
    "isi": lambda: {"spikes": torch.ones(3, 2)},
    "cv": lambda: {"spikes": torch.ones(3, 2)},
    "fano": lambda: {"spikes": torch.ones(3, 2), "window": 1.0},
    "avalanche_sizes": lambda: {"spikes": torch.ones(3, 2)},
    "raster": lambda: {"spikes": torch.ones(3, 2)},
    "traces": lambda: {"values": torch.ones(3, 2)},
    "LatencyToDecision": lambda: {"decoder": tdn.decoding.SpikeCount()},
    "Bernoulli": lambda: {"steps": 3},
    "DirectCurrent": lambda: {"steps": 3},
    "Latency": lambda: {"steps": 3},
    "Poisson": lambda: {"steps": 3},
    "Rows": lambda: {"steps": 3},
}
"""What else a call takes."""


def tdn_events():
    from torchdyn_neuro.events import make_events

    return make_events([1.0, 2.0], [0, 1])


def calls():
    """All public classes and functions that take a time, with the name of its parameter."""
    found = {}
    for module in pkgutil.walk_packages(tdn.__path__, "torchdyn_neuro."):
        if module.name.split(".")[1] in ("training", "fused", "core"):
            continue
        for name, call in vars(importlib.import_module(module.name)).items():
            public = name in getattr(importlib.import_module(module.name.rpartition(".")[0]), "__all__", ())
            typed = inspect.isclass(call) and issubclass(call, (dict, Exception))
            if (
                public
                and not typed
                and not inspect.isabstract(call)
                and (inspect.isclass(call) or inspect.isfunction(call))
            ):
                for parameter in set(NAMES) & set(inspect.signature(call).parameters):
                    found[call.__name__, parameter] = call
    found |= {("Network", "delay"): tdn.Network, ("Plastic", "dt"): tdn.Plastic}
    return sorted(found.items())


CALLS = calls()


@pytest.mark.parametrize("wrong", [-1.0, math.nan, -math.inf, math.inf], ids=str)
@pytest.mark.parametrize(("name", "call"), CALLS, ids=lambda value: "-".join(value) if isinstance(value, tuple) else "")
def test_a_time_that_is_none(name, call, wrong):
    arguments = NEEDED.get(name[0], dict)()
    with pytest.raises(ValueError, match=rf"^\w+: expected .*{name[1]}.*, got .*; "):
        call(**{**arguments, name[1]: wrong})


def test_the_times_are_found():
    assert {("LIF", "dt"), ("f_i_curve", "duration"), ("Delay", "max_delay"), ("AdEx", "t_ref")} <= dict(CALLS).keys()
    assert len(CALLS) > 40
