"""The README's Python runs, and its commands name files and options that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_python_block_runs(index):
    exec(compile(BLOCKS[index], f"README block {index}", "exec"), {})


def test_the_two_commands_are_there():
    assert "pip install -e . && python train.py\n" in README
    assert 'pip install -e ".[test]" && pytest\n' in README


def test_files_named_in_the_readme_exist():
    named = re.findall(r"\(((?:examples|benchmarks|torchdyn_neuro|docs|tests|configs)[\w/.]*)\)", README)
    named += re.findall(r"python ((?:examples|benchmarks)/[\w/.]+|train\.py)", README)
    assert named
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_readme_is_short():
    assert len(README.splitlines()) <= 200
