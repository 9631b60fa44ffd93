"""Probe of an execution provider: run a tiny model in a subprocess, which may crash.

A driver that does not fit its library ends the process that loads it. So the command
`python -m edgeloop.edge.doctor.provider_probe cuda` runs the model and prints the outcome in its last line.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.models.errors import EdgeloopError

__all__ = ["DOUBLING_MODEL", "probe"]

# An ONNX model that adds its float32 [4] input `x` to itself. It was made by:
#   node = helper.make_node("Add", ["x", "x"], ["y"])
#   value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])
#   graph = helper.make_graph([node], "g", [value("x")], [value("y")])
#   helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="")
DOUBLING_MODEL = base64.b64decode(
    "CAcSADo1Cg4KAXgKAXgSAXkiA0FkZBIBZ1oPCgF4EgoKCAgBEgQKAggEYg8KAXkSCgoICAESBAoCCARCBAoAEA0="
)
_COMMAND = (sys.executable, "-P", "-m", "edgeloop.edge.doctor.provider_probe")


def probe(provider: str, command: Sequence[str] = _COMMAND, timeout_s: float = 120) -> str:
    """Test an execution provider, or something else that has a name, in a subprocess.

    Args:
        provider: One of `edgeloop.edge.engines.open_engine.onnx_providers`, or what the command takes.
        command: Command to run; the name of the provider is appended.
        timeout_s: Time limit in seconds; TensorRT compiles even a tiny model for seconds.

    Returns:
        Reason why it does not work; "" if it works.
    """
    try:
        done = subprocess.run(
            [*command, provider], capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return f"does not answer within {timeout_s:g} s"
    if done.returncode < 0:
        return f"crashes ({signal.Signals(-done.returncode).name})"
    try:
        reason: str = json.loads(done.stdout.splitlines()[-1])["reason"]
    except (LookupError, ValueError):
        return f"ends its process (exit code {done.returncode})"
    return reason


def _try(provider: str) -> str:
    x = np.arange(4, dtype=np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder, "probe.onnx")
        path.write_bytes(DOUBLING_MODEL)
        try:
            (y,) = open_engine(path, provider=provider, bare=True).run(x)
        except EdgeloopError as error:
            return str(error).removeprefix(f"provider '{provider}': ")
    return "" if np.array_equal(y, 2 * x) else f"computes {y.tolist()} for {(2 * x).tolist()}"


if __name__ == "__main__":
    print(json.dumps({"reason": _try(sys.argv[1])}))
