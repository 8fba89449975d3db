"""A checkpoint alone goes on with the choices of its run; what the command line says goes first."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from torchdyn_neuro.training import PlainCheckpoints, load_checkpoint, run, with_choices
from torchdyn_neuro.training.choices import check_choices, choices_in, choices_of_command
from torchdyn_neuro.training.settings import check_settings, without_foreign_arguments

CONFIGS = Path(__file__).parents[2] / "configs"
# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]
CHOICES = ["neuron=adex", "neuron.a=1.5", "~encoder", "model.hidden=[16,16]", "seed=3", "+data.root='../shared'"]


@pytest.fixture
def stored(tmp_path):
    """Writes a checkpoint with choices; returns its path."""

    def write(choices, **content):
        path = tmp_path / "a=1.ckpt"
        PlainCheckpoints().save_checkpoint({"state_dict": {}, "config": {}, "choices": choices, **content}, path)
        return f"checkpoint='{path}'"

    return write


@contextmanager
def command(*words):
    """What a program sees whose command line has these words."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", list(words), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        try:
            OmegaConf.set_struct(config, False)
            config.pop("hydra")
            yield config
        finally:
            HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ([], CHOICES),
        (["neuron=lif"], CHOICES[2:]),
        (["neuron.a=2"], [CHOICES[0], *CHOICES[2:]]),
        (["++model.hidden=[8]", "+encoder.steps=2", "~seed"], [*CHOICES[:3], CHOICES[5]]),
        (["model={}"], [*CHOICES[:3], *CHOICES[4:]]),
        (["optimizer.lr=1", "-m", "--config-dir", "here", "neurons=4"], CHOICES),
    ],
)
def test_the_choices_of_a_checkpoint_but_for_what_the_command_line_says(own, kept, stored):
    named = stored(CHOICES)
    assert with_choices([*own, named]) == [*own, *kept, named]
    assert with_choices([named, *own]) == [*kept, named, *own]
    # Processes that a run starts get its words.
    again = with_choices([*own, named])
    assert with_choices(again) == again


@pytest.mark.parametrize("words", [[], ["neuron=lif"], ["checkpoint=null"], ["checkpoint=a,b", "-m"], ["--help"]])
def test_no_checkpoint_no_choices(words):
    assert with_choices(words) == words


def test_a_checkpoint_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="check the path"):
        with_choices(["checkpoint=/nowhere/at/all.ckpt"])


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ("hydra.searchpath=[file:///theirs]", "a setting of Hydra"),
        ("hydra/launcher=theirs", "a setting of Hydra"),
        ("+hydra.callbacks.x._target_=os.system", "a setting of Hydra"),
        ("++hydra.job.env_set.PATH=x", "a setting of Hydra"),
        ("experiment@hydra.callbacks=theirs", "a setting of Hydra"),
        ("experiment@neuron=theirs", "puts a group elsewhere"),
        ("trusted=[os]", "which only a command line says: trusted="),
        ("+trusted=[os]", "which only a command line says: trusted="),
        ("folder=/etc", "which only a command line says: folder="),
        ("checkpoint=another.ckpt", "which only a command line says: checkpoint="),
        ("seed=1,2", "which is several"),
        ("seed=range(3)", "which is several"),
        ("data.root=${oc.env:HOME}", "which looks things up"),
        ("data.root=${ oc.env : HOME}", "which looks things up"),
        ("name=a-${oc.env:HOME}", "which looks things up"),
        ("experiment=../../theirs", "which leads elsewhere"),
        ("experiment='/theirs/a'", "which leads elsewhere"),
        ("experiment=[ei_digits,'../theirs']", "which leads elsewhere"),
        ("optimizer/inner=../theirs", "which leads elsewhere"),
        ("experiment=${name}", "which leads elsewhere"),
        ("name=../../theirs", "which leads elsewhere"),
        ("+more={a: [{b: ../theirs}]}", "which leads elsewhere"),
        ("--config-dir=/theirs", "no choice"),
        ("-m", "no choice"),
        ("neuron", "no choice"),
        (5, "no choice"),
    ],
)
def test_what_is_no_choice_is_refused(choice, reason, stored):
    with pytest.raises(ValueError, match="do not trust this file") as raised:
        with_choices([stored(["neuron=lif", choice])])
    assert reason in str(raised.value)


def test_a_list_is_expected():
    with pytest.raises(ValueError, match="no choice"):
        choices_in({"choices": {"neuron": "lif"}}, "a.ckpt")


def test_the_closed_list_holds_for_choices_too(stored, tmp_path):
    """As for a configuration that somebody else wrote: a choice builds nothing that is not on it."""
    named = stored(["+callbacks.theirs._target_=subprocess.Popen", "+callbacks.theirs.args=true"])
    with command(*with_choices([named, f"folder={tmp_path / 'run'}"])) as config, pytest.raises(SystemExit) as stop:
        run(config)
    assert "callbacks.theirs: expected _target_ to name a class of torchdyn_neuro" in stop.value.code
    assert not (tmp_path / "run").exists()


def test_what_is_kept_is_what_was_chosen(tmp_path):
    own = [f"folder={tmp_path / 'run'}", "trusted=[lab]", "hydra.verbose=false"]
    with command(*CHOICES[:2], *own, *CHOICES[2:]):
        assert choices_of_command() == CHOICES
    assert choices_of_command() == []


def test_choices_that_the_program_did_not_take():
    checkpoint = {"config": {}, "choices": CHOICES}
    with command("seed=3", "neuron=lif"), pytest.raises(ValueError, match="a command without ~encoder; let the pro"):
        check_choices(checkpoint, {}, "a.ckpt")


def test_files_that_say_something_else_than_they_did():
    choices = ["optimizer=sgd", "dt=0.5"]
    with command(*choices) as config:
        now = check_settings(OmegaConf.to_container(config, resolve=True))
        check_choices({"config": now, "choices": choices}, now, "a.ckpt")
    before = now | {"optimizer": now["optimizer"] | {"lr": 0.123}}
    with command(*choices), pytest.raises(ValueError, match=r"expected optimizer.lr to be 0.123 as in 'a.ckpt', got"):
        check_choices({"config": before, "choices": choices}, now, "a.ckpt")
    # The same when a run of an earlier version stored no choices, and they are not repeated.
    with command("optimizer=sgd"), pytest.raises(ValueError, match=r"expected dt to be 0.5 as in 'a.ckpt', got 1.0"):
        check_choices(
            {"config": now}, OmegaConf.to_container(compose("train", ["optimizer=sgd"]), resolve=True), "a.ckpt"
        )
    # A change of one's own, and what follows from it elsewhere, is none of the files.
    words = ["optimizer=sgd", "dt=0.25", "optimizer.lr=0.4"]
    with command(*words) as config:
        check_choices({"config": now, "choices": choices}, OmegaConf.to_container(config, resolve=True), "a.ckpt")


def test_what_a_run_makes_of_its_configuration_is_no_contradiction():
    """Groups that are absent are empty, and a class of one's own gets no arguments of another one."""

    def made(config):
        whole = check_settings(OmegaConf.to_container(config, resolve=True))
        return without_foreign_arguments(whole, ["optimizer._target_"], ())

    choices = ["optimizer._target_=torch.optim.Rprop", "~penalty"]
    with command(*choices) as config:
        before = made(config)
    assert before["penalty"] == {}
    assert "weight_decay" not in before["optimizer"]
    with command(*choices, "dt=0.25") as config:
        check_choices({"config": before, "choices": choices}, made(config), "a.ckpt")


QUICK = ["callbacks=minimal", "logger=none", "calibrate=0"]


def settings(path):
    group, *_ = load_checkpoint(path)["optimizer_states"][0]["param_groups"]
    return {key: value for key, value in group.items() if key != "params"}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The last checkpoint of a run of two epochs."""
    folder = tmp_path_factory.mktemp("first") / "run"
    short = ["model.hidden=[16]", "steps=4", "threads=1", "trainer.max_epochs=2", "+trainer.limit_train_batches=3"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        run(compose("train", [*QUICK, *short, "+trainer.enable_progress_bar=true", f"folder={folder}"]))
    return folder / "checkpoints/last.ckpt"


def test_new_choices_hold_as_if_they_had_from_the_beginning(composed, tmp_path, first):
    """A longer schedule with another rate, which restored settings would know nothing of."""
    longer = ["trainer.max_epochs=3", "optimizer.lr=0.5", "optimizer.weight_decay=0.25"]
    run(composed(*QUICK, *longer, f"checkpoint={first}", f"folder={tmp_path / 'rest'}"))
    run(composed(*QUICK, *longer, f"folder={tmp_path / 'whole'}"))
    got, expected = (settings(tmp_path / name / "checkpoints/last.ckpt") for name in ("rest", "whole"))
    assert got == expected
    assert got["weight_decay"] == 0.25
    assert got["max_lr"] == 0.5
    saved = OmegaConf.load(tmp_path / "rest/config.yaml")
    assert (saved.optimizer.lr, saved.trainer.max_epochs) == (0.5, 3)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            "model.hidden=[17]",
            "expected the model whose weights are in .*size mismatch.*leave out model.hidden, or begin",
        ),
        ("model.hidden=[16,16]", "expected the model whose weights are in .*leave out model.hidden, or begin anew"),
        (
            "optimizer=sgd",
            "expected the optimizer whose state is in .*AdamW, got torch.optim.SGD; leave out optimizer=",
        ),
        ("trainer.max_epochs=1", "expected trainer.max_epochs of at least the 2 epochs of .*, got 1; raise it"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_words(composed, first, choice, message):
    with pytest.raises(SystemExit, match=message):
        run(composed(*QUICK, choice, f"checkpoint={first}"))
