# Smoke run: two iterations of each detector. It shows that the road holds; its figures mean nothing.
name = "Smoke run, no result: transfer"
arms = {
    "baseline": "smoke-transfer/baseline.py",
    "cutmix": "smoke-transfer/cutmix.py",
    "official": "smoke-transfer/official.py",
    "saliency-shift": "smoke-transfer/saliency-shift.py",
}
pretraining_seeds = [0]
detectors = dict(bccd="smoke-transfer/bccd.py", voc="smoke-transfer/voc.py")
sheet = "saliency-shift"
