"""Models of other libraries with spiking activations, small enough for a test."""

import torch
from torch import nn
from torchvision.models import VGG, resnet18
from torchvision.models.vgg import make_layers

import torchdyn_neuro as tdn

VGG11 = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]


def vgg11(share):
    """torchvision's vgg11 with a share of its channels."""
    channels = [step if step == "M" else step // share for step in VGG11]
    model = VGG(make_layers(channels), num_classes=4)
    model.avgpool = nn.Identity()
    model.classifier = nn.Sequential(nn.Linear(512 // share, 32), nn.ReLU(True), nn.Linear(32, 4))
    return model


def transformer():
    """Two layers of a transformer on sequences of six tokens."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(5, 16), nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(96, 4))


def images(steps, rows):
    """Still images of random colors, with some noise on each pixel."""
    picture = 0.7 * torch.rand(rows, 3, 1, 1) + 0.3 * torch.rand(rows, 3, 32, 32)
    return picture.expand(steps, *picture.shape)


def spiking(name):
    """A model by name, with its ReLUs replaced, and an input for it."""
    torch.manual_seed(0)
    if name == "recurrent":
        model = nn.Sequential(
            nn.Linear(30, 40),
            tdn.ExponentialSynapse(),
            tdn.Recurrent(tdn.LIF(), nn.Linear(40, 40)),
            nn.Linear(40, 4),
            tdn.LeakyIntegrator(),
        )
        return model, (torch.rand(60, 8, 30) < 0.05).float()
    model = {"vgg11": lambda: vgg11(4), "resnet18": lambda: resnet18(num_classes=4), "transformer": transformer}[name]()
    tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=2.0, verbose=False)
    x = torch.rand(8, 6, 5).expand(6, 8, 6, 5) if name == "transformer" else images(4, 4)
    return tdn.Stepwise(model), x


NAMES = ["vgg11", "resnet18", "transformer", "recurrent"]
