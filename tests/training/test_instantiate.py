from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.layers.population import Population
from torchdyn_neuro.training import build, check_targets

CONFIGS = Path(__file__).parents[2] / "configs"
EQUATIONS = [
    (path.parent.name, path.stem) for group in ("neuron", "synapse") for path in (CONFIGS / group).glob("*.yaml")
]


@pytest.mark.parametrize(("group", "choice"), sorted(EQUATIONS))
def test_every_neuron_and_synapse_config_builds(group, choice):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", [f"{group}={choice}"])[group], resolve=False)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        whole = OmegaConf.to_container(compose("train", [f"{group}={choice}", "folder=x"]), resolve=True)
    module = build(whole[group], group)
    assert config["_target_"].endswith(type(module).__name__)
    assert isinstance(module, (tdn.Dynamics, Population, nn.Identity))


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "logging.os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "torch.nn.modules.module.torch.hub.load",
        "torchdyn_neuro.training.run.os.system",
        "torchdyn_neuro.training.run.tempfile.NamedTemporaryFile",
        "torchdyn_neuro.core.dynamics._shapes",
        "torchdyn_neuro.no_such_thing",
        "lightning.pytorch.seed_everything",
        "not a path",
        3,
    ],
)
def test_hostile_target_is_refused_before_anything_is_built(target):
    built = []
    nested = {"first": {"_target_": "torchdyn_neuro.LIF"}, "list": [{"deep": {"_target_": target}}]}
    with pytest.raises(ValueError, match=r"config\.list\[0\]\.deep: expected _target_"):
        built.append(build(nested))
    assert not built
    with pytest.raises(ValueError, match="expected _target_"):
        check_targets(nested)


def test_partial_and_nested():
    optimizer = build({"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5})
    assert optimizer([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"] == 0.5
    neuron = build({"_target_": "torchdyn_neuro.LIF", "tau_mem": {"_target_": "torchdyn_neuro.Learned", "value": 7.0}})
    torch.testing.assert_close(neuron.tau_mem(), torch.tensor(7.0))
    assert neuron.tau_mem.learned


def test_unknown_argument_names_the_place():
    with pytest.raises(ValueError, match=r"neuron: LIF takes .*unexpected keyword argument 'tua_mem'"):
        build({"_target_": "torchdyn_neuro.LIF", "tua_mem": 1.0}, "neuron")
