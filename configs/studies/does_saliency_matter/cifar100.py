# The paper's protocol (CIFAR-100 "+", 200 epochs, batch 128); the last two arms are controls.
name = "Does saliency matter? CIFAR-100, paper protocol"
arms = {
    "baseline": "cifar100/baseline.py",
    "cutout": "cifar100/cutout.py",
    "cutmix": "cifar100/cutmix.py",
    "random-shift": "cifar100/random-shift.py",
    "official": "cifar100/official.py",
    "saliency-batch": "cifar100/saliency-batch.py",
    "saliency-clip": "cifar100/saliency-clip.py",
    "saliency-shift": "cifar100/saliency-shift.py",
    "spectral-residual": "cifar100/spectral-residual.py",
    "non-salient": "cifar100/non-salient.py",
    "random-ties": "cifar100/random-ties.py",
    "shuffled-clip": "cifar100/shuffled-clip.py",
    "shuffled-shift": "cifar100/shuffled-shift.py",
}
pretraining_seeds = [0, 1, 2, 3, 4]
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
sheet = "saliency-shift"
# 100 less the paper's top-1 errors. Which of the two its SaliencyMix was is not known; it stands at what the text says.
paper = {"baseline": 77.54, "cutout": 78.04, "cutmix": 80.58, "saliency-shift": 80.71}
