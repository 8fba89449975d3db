"""What callbacks do to a training, and what they say of it."""

import math
import warnings

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import torchdyn_neuro as tdn
from torchdyn_neuro.losses import MembraneCrossEntropy
from torchdyn_neuro.training import Classification, load_checkpoint, run
from torchdyn_neuro.training.callbacks import AnnealDelays, AnnealSurrogate, Health
from torchdyn_neuro.training.callbacks.health import growth_through_time
from torchdyn_neuro.training.callbacks.pictures import voltage

# Lightning and its dependencies warn about their own future.
pytestmark = [
    pytest.mark.filterwarnings("ignore:::lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


class Task(Classification):
    """Four batches an epoch, of sequences [2, 12, 3]."""

    def __init__(self, model, gain=1.0):
        super().__init__(model, 2, loss=MembraneCrossEntropy())
        self.gain = gain

    def train_dataloader(self):
        torch.manual_seed(0)
        return DataLoader(TensorDataset(self.gain * torch.rand(8, 12, 3), torch.arange(8) % 2), batch_size=2)


def fit(task, *callbacks, epochs=2):
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=list(callbacks), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(task)
    return task


class Seen(Callback):
    """What a function of the model gives in each step."""

    def __init__(self, look):
        super().__init__()
        self.look, self.values = look, []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.values.append(self.look(pl_module.model))


def test_widths_of_delays_narrow_geometrically():
    delay = tdn.Learned(torch.full((4, 3), 2.0))
    layer = tdn.DelayedLinear(3, 4, delay, max_delay=5.0, kernel="gaussian", width=4.0, final_width=1.0)
    model = nn.Sequential(layer, tdn.LIF(), nn.Linear(4, 2), tdn.LeakyIntegrator())
    seen = Seen(lambda model: model[0].width.item())
    fit(Task(model), AnnealDelays(until=0.5), seen)
    assert seen.values == pytest.approx([4.0 * 4 ** -min(step / 4, 1) for step in range(8)])
    assert model[0].width.item() == pytest.approx(1.0)


def test_slopes_of_surrogates_change_in_levels():
    model = nn.Sequential(nn.Linear(3, 4), tdn.LIF(), nn.Linear(4, 2), tdn.LeakyIntegrator())
    seen = Seen(lambda model: model[1].surrogate.slope)
    fit(Task(model), AnnealSurrogate(1.0, 16.0, until=1.0, levels=4), seen)
    assert seen.values == pytest.approx([16 ** (round(step / 8 * 4) / 4) for step in range(8)])
    assert len(set(seen.values)) == 5
    assert model[1].surrogate.slope == pytest.approx(16.0)


def test_a_number_that_a_surrogate_does_not_have():
    model = nn.Sequential(nn.Linear(3, 2), tdn.LIF(surrogate=tdn.Triangular()))
    with pytest.raises(ValueError, match="all have a slope, got Triangular in 1; choose"):
        fit(Task(model), AnnealSurrogate(1.0, 2.0))


def warned(*arguments, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(*arguments, **options)
    return [str(each.message) for each in caught if "Health" in str(each.message)]


@pytest.mark.parametrize(("gain", "word"), [(0.0, "100% of its neurons silent"), (1e3, "firing in almost every step")])
def test_a_layer_that_starts_silent_or_saturated_is_named(gain, word):
    model = nn.Sequential(nn.Linear(3, 4), tdn.LIF(2.0), nn.Linear(4, 2), tdn.LeakyIntegrator())
    nn.init.ones_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    [message] = warned(Task(model, gain), Health(), epochs=1)
    assert "1 (LIF)" in message
    assert word in message
    assert "calibrate" in message


def recurrent(height):
    """Four neurons in a loop with weights of two."""
    surrogate = tdn.surrogates.CustomSurrogate(Height(height))
    loop = tdn.Recurrent(tdn.LIF(5.0, R=5.0, surrogate=surrogate), nn.Linear(4, 4, bias=False))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), loop, nn.Linear(4, 2), tdn.LeakyIntegrator())
    nn.init.constant_(loop.connection.weight, 2.0)
    return model


class Height:
    def __init__(self, height):
        self.height = height

    def __call__(self, x):
        return self.height / (1 + x.square())


@pytest.mark.parametrize(("height", "explodes"), [(1.0, True), (0.03, False)])
def test_a_gradient_that_explodes_names_the_layer(height, explodes):
    messages = warned(Task(recurrent(height)), Health(every=1), epochs=1)
    grown = [message for message in messages if "explodes" in message]
    assert len(grown) == explodes
    assert all("through 1 (Recurrent)" in message for message in grown)


def test_growth_is_measured_against_what_the_steps_add_up_to():
    steps, outputs = 50, torch.ones(50)
    added = torch.arange(steps, 0, -1.0) * 0.3  # each step adds 0.3 of what it gets
    assert growth_through_time(added, outputs) == pytest.approx(1.0)
    assert growth_through_time(0.3 * 2.0 ** torch.arange(steps - 1, -1, -1.0), outputs) == pytest.approx(2**49 / 50)
    late = outputs.clone()
    late[30:] = 0
    assert growth_through_time(added, late) == pytest.approx(50 * 0.3 / (50 * 21 * 0.3))
    assert growth_through_time(None, outputs) == growth_through_time(added, torch.zeros(50)) == 0


def test_voltages_have_a_legend_and_their_threshold():
    v = torch.randn(6, 2, 3)
    figure = voltage(v, tdn.LIF(v_th=0.7), 2)
    [axes] = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["neuron 0", "neuron 1", "threshold"]
    assert list(axes.lines[2].get_ydata()) == pytest.approx([0.7, 0.7])
    assert list(axes.lines[1].get_ydata()) == v[:, 0, 1].tolist()
    each = voltage(v, tdn.Recurrent(tdn.LIF(v_th=torch.tensor([0.5, 1.0, 2.0])), nn.Linear(3, 3)), 2)
    assert [line.get_ydata()[0] for line in each.axes[0].lines[2:]] == pytest.approx([0.5, 1.0])
    assert each.axes[0].lines[2].get_color() == each.axes[0].lines[0].get_color()
    assert len(voltage(v, tdn.LeakyIntegrator(), 2).axes[0].lines) == 2
    assert voltage(v, tdn.AdEx(), 1).axes[0].get_ylabel() == "v (mV)"


SHORT = ["trainer.limit_train_batches=2", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"]


def test_a_run_with_averaged_weights(composed, tmp_path):
    """After two steps with decay d: d of the weights after the first, 1 - d of those after the second."""
    average = "callbacks=ema"
    options = [*SHORT, "logger=none", "optimizer=sgd", "scheduler=constant", "callbacks.ema.decay=0.75"]
    run(composed(average, *options, "trainer.max_epochs=1"))
    last = load_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    name = "model.classify.weight"
    first = composed(*options[:3], *options[3:-1], "trainer.limit_train_batches=1", "trainer.max_epochs=1")
    first.folder = str(tmp_path / "first")
    run(first)
    one = load_checkpoint(tmp_path / "first/checkpoints/last.ckpt")["state_dict"][name]
    two = last["current_model_state"][name]
    torch.testing.assert_close(last["state_dict"][name], 0.75 * one + 0.25 * two)
    assert torch.equal(tdn.load(tmp_path / "run/checkpoints/last.ckpt").model.classify.weight, last["state_dict"][name])


def test_averaged_weights_go_on_bit_for_bit(composed, tmp_path):
    options = [*SHORT, "logger=none", "scheduler=constant", "callbacks=ema"]
    run(composed(*options, "trainer.max_epochs=2", f"folder={tmp_path / 'whole'}"))
    run(composed(*options, "trainer.max_epochs=1", f"folder={tmp_path / 'half'}"))
    half = tmp_path / "half/checkpoints/last.ckpt"
    run(composed(*options, "trainer.max_epochs=2", f"checkpoint={half}", f"folder={tmp_path / 'rest'}"))
    whole, rest = (load_checkpoint(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "rest"))
    for key in ("state_dict", "current_model_state"):
        for name, value in whole[key].items():
            assert torch.equal(value, rest[key][name]), name


def test_a_run_stops_early(composed, tmp_path, capsys):
    options = ["callbacks=early_stopping", "callbacks.early_stopping.patience=2", "optimizer.lr=0.0", "logger=none"]
    run(composed(*SHORT, *options, "trainer.max_epochs=9"))
    assert capsys.readouterr().out.count("epoch ") == 3


def test_a_run_logs_rates_and_a_graph(composed, tmp_path):
    graph = "+callbacks.graph={_target_:torchdyn_neuro.training.callbacks.ModelGraph}"
    run(composed(*SHORT, graph, "trainer.log_every_n_steps=1", "trainer.max_epochs=1", "callbacks.pictures=null"))
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    tags = events.Tags()
    assert {"lr-AdamW/rest", "lr-AdamW/quantities+vectors", "lr-AdamW/vectors"} & set(tags["scalars"])
    assert tags["graph"]
    assert all(math.isfinite(event.value) for event in events.Scalars("lr-AdamW/rest"))
