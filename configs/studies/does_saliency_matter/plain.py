# Not in the list: saliency against a random place in images as they are, where the paper reports its largest gains.
name = "Not in the list: CIFAR-10 without crop and flip"
arms = {
    "baseline": "plain/baseline.py",
    "cutmix": "plain/cutmix.py",
    "random-shift": "plain/random-shift.py",
    "saliency-shift": "plain/saliency-shift.py",
}
pretraining_seeds = [0, 1, 2, 3, 4]
metric = "accuracy/top1"
sheet = "saliency-shift"
# 100 less the paper's top-1 errors for "C10".
paper = {"baseline": 89.37, "cutmix": 90.56, "saliency-shift": 92.41}
