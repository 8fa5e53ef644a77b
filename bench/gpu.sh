#!/bin/sh
# On a machine with an NVIDIA GPU and CUDA 13: parity there, then speed in the 7B's shape, ours and the Python stack's, in one go.
#   cargo xtask cuda build && python -m venv venv && venv/bin/pip install -r bench/requirements.txt
#   PYTHON=venv/bin/python sh bench/gpu.sh 2>&1 | tee gpu.txt
# OMNITRACE: the program; PARITY: the parity example, built where there is a compiler; CHECKPOINT: 17 GB of disk.
set -eu
cd "$(dirname "$0")/.."
OMNITRACE=${OMNITRACE:-target/release/omnitrace}
PYTHON=${PYTHON:-python3}
CHECKPOINT=${CHECKPOINT:-target/cuda/7b}
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv

echo "== parity with the recorded cases (ids, units; signals within the tolerance)"
if [ -n "${PARITY:-}" ]; then "$PARITY"; else cargo run --release -p engine --features cuda --example parity; fi

echo "== decoding, untraced, two signals, three signals, in turn"
"$OMNITRACE" bench decode --shape 200m --shape 7b --context 1024 --context 8192

echo "== time to first token, traced"
"$OMNITRACE" bench prefill --shape 7b --tokens 1024 --tokens 8192 --tokens 32768

echo "== against transformers, same checkpoint: untraced, and eager with attentions"
[ -f "$CHECKPOINT/config.json" ] || "$OMNITRACE" bench checkpoint --shape 7b --dtype bf16 --out "$CHECKPOINT"
"$PYTHON" bench/compare.py --omnitrace "$OMNITRACE" --checkpoint "$CHECKPOINT" --device cuda --prompts 1024 8192 \
    --answer 64 --only plain attentions attgrads
