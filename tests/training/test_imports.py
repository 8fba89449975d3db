import subprocess
import sys


def test_the_library_imports_torch_only():
    code = (
        "import sys, torchdyn_neuro; "
        "print(sorted({'lightning', 'hydra', 'sklearn', 'matplotlib', 'triton'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
