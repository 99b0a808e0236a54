#!/usr/bin/env bash
# Train with several processes: one a GPU, or, where there is none, that many on the CPU.
#   tools/dist_train.sh CONFIG GPUS [options of train.py]
#   tools/dist_train.sh configs/cifar10/resnet18_saliencymix.py 8 --amp
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "$(basename "$0"): got $# arguments; wanted CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
TOOLS=$(cd "$(dirname "$0")" && pwd)

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$GPUS" \
    "$TOOLS"/train.py "$CONFIG" --launcher pytorch "${@:3}"
