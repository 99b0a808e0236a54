# The whole road in minutes, on data that come with the installed packages. Three fine-tuning seeds give each arm an
# interval; one pretraining an arm is too little to say anything about the method.
name = "Demo: digits on photographs"
prepare = dict(call="smix_mm.datasets.demo:make_digit_scenes", variable="SMIX_DEMO_DATA")
arms = dict(
    baseline="pretrain_baseline.py",
    cutmix=dict(config="pretrain_baseline.py", cfg_options=dict(augment="cutmix")),
    saliencymix=dict(config="pretrain_baseline.py", cfg_options=dict(augment="saliencymix")),
)
detectors = dict(digits="detector.py")
finetuning_seeds = [0, 1, 2]
sheet = "saliencymix"
seconds = dict(pretraining=20, digits=25)
next = (
    "Next, to compare arms of your own: copy configs/demo/study.py, name your configs in it, and run "
    "python tools/study.py run YOUR_STUDY.py --work-dir work_dirs/mine."
)
