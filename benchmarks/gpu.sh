#!/usr/bin/env bash
# Rates of a GPU, in at most six minutes: bash benchmarks/gpu.sh [MODEL.onnx ...] [options of gpu_rates.py]
# Takes the Python at hand ($PYTHON) if its onnxruntime has the provider. Otherwise it sets up an environment of
# its own from the pinned requirements, which needs a network; $EDGELOOP_GPU_ENV names its folder.
set -euo pipefail
began=$SECONDS
limit_s=360
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
folder=${EDGELOOP_GPU_ENV:-${TMPDIR:-/tmp}/edgeloop-gpu}
wanted=CUDAExecutionProvider
case " $* " in *" cpu "* | *"--provider=cpu "*) wanted=CPUExecutionProvider ;; esac

usable() {
  PYTHONPATH="$2$PWD/src${PYTHONPATH:+:$PYTHONPATH}" "$1" - "$wanted" <<'END'
import sys
import edgeloop.edge.runtime.detector, edgeloop.edge.loop.pipeline
import onnxruntime
sys.exit(sys.argv[1] not in onnxruntime.get_available_providers())
END
}

before=
if ! usable "$python" "" 2>/dev/null; then
  before="$folder/gpu:"
  if ! usable "$folder/venv/bin/python" "$before" 2>/dev/null; then
    echo "gpu.sh: setting up $folder" >&2
    "$python" -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
    uv=("$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --require-hashes)
    "${uv[@]}" -r requirements/dev.txt
    # onnxruntime-gpu comes in place of onnxruntime: it stands in front of it.
    "${uv[@]}" --target "$folder/gpu" -r requirements/gpu.txt
    usable "$folder/venv/bin/python" "$before"
  fi
  python=$folder/venv/bin/python
fi

left_s=$((limit_s - (SECONDS - began)))
if [ "$left_s" -lt 30 ]; then
  echo "gpu.sh: $folder is set up, which took the time; call it again" >&2
  exit 75
fi
export PYTHONPATH="$before$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
exec timeout "$left_s" "$python" benchmarks/gpu_rates.py --limit "$((left_s - 10))" "$@"
