# Not in the list: saliency against a random place where the crop brings no black edges.
name = "Not in the list: CIFAR-10, mirrored padding"
arms = {
    "baseline": "reflect/baseline.py",
    "random-shift": "reflect/random-shift.py",
    "saliency-shift": "reflect/saliency-shift.py",
}
pretraining_seeds = [0, 1, 2, 3, 4]
metric = "accuracy/top1"
sheet = "saliency-shift"
