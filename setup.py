"""All that pyproject.toml cannot say: configs/ stands beside the package, and in a wheel inside of it."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConfigs(build_py):
    """Puts configs/ where torchdyn_train.py looks for it; an editable installation has it where it is."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree("configs", Path(self.build_lib) / "torchdyn_neuro/configs", dirs_exist_ok=True)


setup(cmdclass={"build_py": WithConfigs})
