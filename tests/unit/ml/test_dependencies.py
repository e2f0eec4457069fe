import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit


def test_the_service_needs_neither_onnx_nor_a_training_library() -> None:
    """Its container has onnxruntime alone: a library that can train or load pickles has no business there."""
    program = (
        "import sys\n"
        "for name in ('onnx', 'sklearn', 'skl2onnx', 'joblib', 'scipy', 'rich', 'typer'):\n"
        "    sys.modules[name] = None\n"
        "import services.ml.main\n"
        "from services.ml.core.onnx_format import structure_problems\n"
        "print(structure_problems(b''))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "not an ONNX model" in done.stdout
