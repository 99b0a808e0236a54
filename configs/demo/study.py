# The whole road in minutes, on data that come with the installed packages. It shows that the road
# holds; it is far too small to tell the arms apart.
name = "Demo: digits on photographs"
prepare = dict(call="smix_mm.datasets.digits:make_digit_scenes", variable="SMIX_DEMO_DATA")
arms = dict(
    baseline="pretrain_baseline.py",
    cutmix="pretrain_cutmix.py",
    saliencymix="pretrain_saliencymix.py",
)
detectors = dict(digits="detector.py")
sheet = "saliencymix"
