"""Learning rates and weight decays of their own for some parameters."""

import functools

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.losses import MembraneCrossEntropy
from torchdyn_neuro.training import Classification, ParameterGroup, load_checkpoint, run

ADAMW = functools.partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)
# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def model():
    delays = tdn.DelayedLinear(3, 4, tdn.Learned(torch.full((4, 3), 2.0)), max_delay=5.0)
    norm = tdn.Stepwise(nn.BatchNorm1d(4))
    return nn.Sequential(delays, norm, tdn.LIF(tdn.Learned(20.0)), nn.Linear(4, 2), tdn.LeakyIntegrator())


def task(groups, optimizer=ADAMW, net=None):
    return Classification(net or model(), 2, loss=MembraneCrossEntropy(), optimizer=optimizer, groups=groups)


def settings(task):
    """By name of the parameter: group, learning rate and weight decay."""
    names = {parameter: name for name, parameter in task.model.named_parameters()}
    optimizer = task.optimizer(task.parameter_groups())
    return {
        names[parameter]: (group["name"], group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_what_several_groups_say_of_a_parameter():
    groups = {
        "quantities": ParameterGroup(kinds=["Constrained"], weight_decay=0.0),
        "vectors": ParameterGroup(vectors=True, weight_decay=0.0),
        "delays": ParameterGroup(names=["delay"], lr=0.1),
        "last": ParameterGroup(names=["3"], kinds=["Linear"], lr=0.5, weight_decay=0.2),
    }
    assert settings(task(groups)) == {
        "0.weight": ("rest", 0.01, 0.1),
        "0.delay.raw": ("quantities+delays", 0.1, 0.0),
        "1.module.weight": ("quantities+vectors", 0.01, 0.0),
        "1.module.bias": ("quantities+vectors", 0.01, 0.0),
        "2.tau_mem.raw": ("quantities+vectors", 0.01, 0.0),
        "3.weight": ("vectors+last", 0.5, 0.2),
        "3.bias": ("vectors+last", 0.5, 0.2),
    }
    assert {name for name, _, _ in settings(task({})).values()} == {"rest"}


def test_a_shared_parameter_is_one():
    net = nn.Sequential(nn.Linear(2, 2), tdn.LIF(), nn.Linear(2, 2))
    net[2].weight = net[0].weight
    [group] = task({}, net=net).parameter_groups()
    assert len(group["params"]) == 3


def test_each_has_its_own_step():
    """One step of plain descent under a gradient of one."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), tdn.LIF(tdn.Learned(20.0)))
    optimizer = functools.partial(torch.optim.SGD, lr=0.5, weight_decay=0.1)
    groups = {"tau": ParameterGroup(names=["tau_mem"], lr=0.25, weight_decay=0.0)}
    made = task(groups, optimizer, net)
    nn.init.ones_(net[0].weight)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    made.optimizer(made.parameter_groups()).step()
    assert net[0].weight.item() == pytest.approx(1 - 0.5 * (1 + 0.1))
    assert net[1].tau_mem.raw.item() == pytest.approx(-0.25)


def test_an_optimizer_without_weight_decay_takes_what_needs_none():
    groups = {"tau": ParameterGroup(names=["tau_mem"], weight_decay=0.0)}
    [group] = task(groups, torch.optim.LBFGS).parameter_groups()
    assert group["name"] == "rest"
    with pytest.raises(ValueError, match=r"groups.tau: .* of LBFGS, got weight_decay=0.1"):
        task({"tau": ParameterGroup(names=["tau_mem"], weight_decay=0.1)}, torch.optim.LBFGS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected names, kinds or vectors"),
        ({"names": "delay"}, "expected names to be a list"),
        ({"names": [3]}, "expected names to be a list"),
        ({"kinds": ["Linear"], "lr": -1.0}, "expected lr at least 0"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        ParameterGroup(**arguments)


def test_a_group_that_takes_nothing_is_refused_unless_optional():
    with pytest.raises(ValueError, match=r"groups.x: expected parameters with {'names': \('dely',\)}, found none"):
        task({"x": ParameterGroup(names=["dely"], lr=0.1)})
    task({"x": ParameterGroup(names=["dely"], lr=0.1, optional=True)})


def test_a_run_and_one_that_goes_on(composed, tmp_path):
    short = [
        "callbacks=minimal", "logger=none", "trainer.limit_train_batches=1", "+trainer.limit_val_batches=1",
        "+trainer.limit_test_batches=1", "trainer.max_epochs=1",
    ]  # fmt: skip
    own = "+groups.tau={_target_:torchdyn_neuro.training.ParameterGroup,names:[tau_mem],lr:0.125}"
    with tdn.backend("eager"):
        run(composed(own, "scheduler=constant", *short))
        last = tmp_path / "run/checkpoints/last.ckpt"
        groups = load_checkpoint(last)["optimizer_states"][0]["param_groups"]
        assert {(group["name"], group["lr"], group["weight_decay"]) for group in groups} == {
            ("rest", 5e-3, 0.01), ("vectors", 5e-3, 0.0), ("quantities+vectors+tau", 0.125, 0.0)
        }  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            run(composed(*short, f"checkpoint={last}"))
        assert "expected the groups of parameters whose state is in" in stop.value.code
        # Another rate of the same group holds from now on.
        more = [own.replace("0.125", "0.25"), "scheduler=constant", *short, "trainer.max_epochs=2"]
        run(composed(*more, f"checkpoint={last}", f"folder={tmp_path / 'on'}"))
    groups = load_checkpoint(tmp_path / "on/checkpoints/last.ckpt")["optimizer_states"][0]["param_groups"]
    assert sorted(group["lr"] for group in groups) == [5e-3, 5e-3, 0.25]
