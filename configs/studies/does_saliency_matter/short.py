# Short protocol: 25 epochs, three seeds, six arms. Not the paper's protocol.
name = "Does saliency matter? CIFAR-10, short protocol"
arms = {
    "baseline": "short/baseline.py",
    "cutmix": "short/cutmix.py",
    "random-shift": "short/random-shift.py",
    "official": "short/official.py",
    "saliency-batch": "short/saliency-batch.py",
    "saliency-shift": "short/saliency-shift.py",
}
pretraining_seeds = [0, 1, 2]
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
sheet = "saliency-shift"
