"""Every learning rule of the library, fused and eager: value, state, and every gradient."""

import inspect

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.learning_rule import LearningRule

from .agreement import assert_agrees

PRE, POST, STEPS, ROWS = 5, 3, 6, 4
WAYS = {
    "a row": lambda: (nn.Linear(PRE, POST, bias=False), "rows"),
    "mean": lambda: (nn.Linear(PRE, POST, bias=False), "mean"),
    "sum, thinned out": lambda: (tdn.sparse(nn.Linear(PRE, POST), 0.5), "sum"),
}
INNER = {"Rules": ("Hebbian", "WeightNormalization"), "RewardSTDP": ("PairSTDP",), "TripletRate": ("TripletSTDP",)}
"""Rules that others are made of."""
LARGER = {"eta": 0.05, "A_plus": 0.1, "A_minus": 0.08, "A_LTD": 0.01, "A_LTP": 0.02, "target": 0.5, "tau": 4.0}
"""Values with which a rule moves weights within a few steps."""
UNITS = {"VoltageSTDP": {"theta_minus": 0.0, "theta_plus": 0.05, "v_spike": 0.5, "v_rest": 0.0}}
"""Potentials of neurons without a unit."""
NO_ROWS = ("mean", "sum, thinned out")
REASONS = {
    **{(name, way): "1 and 2 axes" for name in ("BCM", "SynapticScaling") for way in NO_ROWS},
    **{("RewardSTDP", way): "aten.unsqueeze" for way in NO_ROWS},
    **{(name, way): "aten.sum" for name in ("WeightNormalization", "Rules") for way in NO_ROWS},
    **{("Sanger", way): "product over the batch that has the size of no weights" for way in NO_ROWS},
    ("Sanger", "a row"): ".shape of a tensor",
}
"""Why a rule does not fuse, by its name and way; what is not listed fuses."""


def shipped():
    return [name for name in tdn.plasticity.__all__ if _is_rule(getattr(tdn.plasticity, name))]


def _is_rule(cls):
    return inspect.isclass(cls) and issubclass(cls, LearningRule) and "update" in _written(cls)


def _written(cls):
    """What a class and its bases up to the trunk define; a base leaves ``respond`` to others."""
    found = {name for base in cls.__mro__ if base is not LearningRule for name in vars(base)}
    return found if cls is not tdn.SpikeTiming else set()


def rule_of(name):
    """A rule all of whose quantities are learned."""
    cls, values = getattr(tdn, name), {}
    for key, parameter in inspect.signature(cls).parameters.items():
        value = UNITS.get(name, {}).get(key, LARGER.get(key, parameter.default))
        if "Quantity" in str(parameter.annotation) and isinstance(value, float):
            values[key] = tdn.Learned(value or 0.1)
    return cls(*map(rule_of, INNER.get(name, ())), **values)


def driven(name, way):
    connection, weights = WAYS[way]()
    rule = rule_of(name)
    module = tdn.Chain(tdn.Plastic(connection, rule, weights=weights), tdn.LIF(tdn.Learned(5.0), v_th=0.1)).double()
    x = torch.rand(STEPS, ROWS, PRE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = x * (x > 0.4)
    return module, tdn.Modulated(x, x[..., 0] + 0.1) if rule.modulated else x


def cases():
    """Every rule for weights of each row, and for shared ones by turns with the mean and the sum."""
    for number, name in enumerate(shipped()):
        yield from ((name, "a row"), (name, NO_ROWS[number % 2]))


@pytest.mark.parametrize(("name", "way"), list(cases()))
def test_a_rule_agrees_or_says_why_not(name, way):
    torch.manual_seed(0)
    module, x = driven(name, way)
    reason, expected = tdn.why_eager(module, x), REASONS.get((name, way))
    assert reason is None if expected is None else expected in reason
    _, (state, _) = module.scan(x)
    assert (state.weight - module[0].connection.weight).abs().max() > 1e-8
    if expected is None:
        assert_agrees(module, x, relative=1e-12)
