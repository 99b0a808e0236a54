# The paper's protocol (CIFAR-10 "+", 200 epochs, batch 128); the last two arms are controls.
name = "Does saliency matter? CIFAR-10, paper protocol"
arms = {
    "baseline": "cifar10/baseline.py",
    "cutout": "cifar10/cutout.py",
    "cutmix": "cifar10/cutmix.py",
    "random-shift": "cifar10/random-shift.py",
    "official": "cifar10/official.py",
    "saliency-batch": "cifar10/saliency-batch.py",
    "saliency-clip": "cifar10/saliency-clip.py",
    "saliency-shift": "cifar10/saliency-shift.py",
    "spectral-residual": "cifar10/spectral-residual.py",
    "non-salient": "cifar10/non-salient.py",
    "random-ties": "cifar10/random-ties.py",
    "shuffled-clip": "cifar10/shuffled-clip.py",
    "shuffled-shift": "cifar10/shuffled-shift.py",
}
pretraining_seeds = [0, 1, 2, 3, 4]
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
sheet = "saliency-shift"
# 100 less the paper's top-1 errors. Which of the two its SaliencyMix was is not known; it stands at what the text says.
paper = {"baseline": 95.28, "cutout": 96.01, "cutmix": 96.22, "saliency-shift": 96.35}
