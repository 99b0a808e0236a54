# Does the road hold on real pictures? One seed, small sets, short schedules: no evidence about the method.
name = "First run: CIFAR-10 to BCCD and a small VOC07+12"
arms = dict(baseline="pretrain_baseline.py", saliencymix="pretrain_saliencymix.py")
detectors = dict(bccd="bccd.py", voc="voc.py")
sheet = "saliencymix"
