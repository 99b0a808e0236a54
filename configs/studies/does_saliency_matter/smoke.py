# Smoke run: every arm for six iterations of a narrow net. It shows that the road holds; its figures mean nothing.
name = "Smoke run, no result: does saliency matter?"
arms = {
    "baseline": "smoke/baseline.py",
    "cutout": "smoke/cutout.py",
    "cutmix": "smoke/cutmix.py",
    "random-shift": "smoke/random-shift.py",
    "official": "smoke/official.py",
    "saliency-batch": "smoke/saliency-batch.py",
    "saliency-clip": "smoke/saliency-clip.py",
    "saliency-shift": "smoke/saliency-shift.py",
    "spectral-residual": "smoke/spectral-residual.py",
    "non-salient": "smoke/non-salient.py",
    "random-ties": "smoke/random-ties.py",
    "shuffled-clip": "smoke/shuffled-clip.py",
    "shuffled-shift": "smoke/shuffled-shift.py",
}
pretraining_seeds = [0]
metric = "accuracy/top1"
sheet = "saliency-shift"
