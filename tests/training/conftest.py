from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import torchdyn_train  # noqa: F401 (its words in the configuration)

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def composed(tmp_path):
    """Composes the configuration of a run of seconds into a temporary folder."""

    def make(*overrides):
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose(
                "train",
                [
                    "model.hidden=[16]",
                    "trainer.max_epochs=2",
                    "+trainer.limit_train_batches=3",
                    "+trainer.enable_progress_bar=true",
                    "steps=4",
                    "threads=1",
                    f"folder={tmp_path / 'run'}",
                    *overrides,
                ],
            )

    return make
