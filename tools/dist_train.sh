#!/usr/bin/env bash
# Train with several processes: one per GPU, or the same number on the CPU if there is no GPU.
#   tools/dist_train.sh CONFIG GPUS [options of train.py]
#   tools/dist_train.sh configs/cifar10/resnet18_saliencymix_cifar10.py 8 --amp
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
# MAX_RESTARTS=3: when a process dies, all restart from the newest checkpoint, at most three times.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $(basename "$0") CONFIG GPUS [options of train.py]; got $# arguments" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
TOOLS=$(cd "$(dirname "$0")" && pwd)
ADDRESS=${MASTER_ADDR:-127.0.0.1} PORT=${PORT:-29500}

RENDEZVOUS=(--node-rank="${NODE_RANK:-0}" --master-addr="$ADDRESS" --master-port="$PORT")
if [ "${MAX_RESTARTS:-0}" -gt 0 ]; then
    # A new rendezvous for each start: in a fixed one, processes would find the addresses of dead processes and wait
    # for them. Ranks are assigned in the order in which machines join, so NODE_RANK has no effect.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    RENDEZVOUS=(--rdzv-backend=c10d --rdzv-endpoint="$ADDRESS:$PORT" --rdzv-id="$PORT" --max-restarts="$MAX_RESTARTS")
fi

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    "${RENDEZVOUS[@]}" \
    --nproc-per-node="$GPUS" \
    "$TOOLS"/train.py "$CONFIG" --launcher pytorch "${@:3}"
