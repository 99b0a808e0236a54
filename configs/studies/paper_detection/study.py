# The paper's detection table without any ImageNet training, from the five backbones that its authors and CutMix's offer
# (tools/prepare_data.py released-backbones). First the paper's protocol as far as it can be known, then FPN by
# MMDetection's schedule, with its 16 images a step on one GPU. One backbone an arm: the seeds show the spread of the
# fine-tuning, not that of pretrainings.
name = "The paper's detection table, from the released backbones"
arms = dict(
    baseline=dict(checkpoint="released://baseline"),
    cutout=dict(checkpoint="released://cutout"),
    mixup=dict(checkpoint="released://mixup"),
    cutmix=dict(checkpoint="released://cutmix"),
    saliencymix=dict(checkpoint="released://saliencymix"),
)
detectors = dict(
    c4="../../voc/faster-rcnn_r50-c4_41k_voc0712.py",
    fpn=dict(
        config="../../voc/faster-rcnn_r50_fpn_1x_voc0712.py",
        cfg_options={"train_dataloader.batch_size": 16, "train_dataloader.num_workers": 8},
    ),
)
finetuning_seeds = [0, 1, 2]
planned = [("baseline", "saliencymix"), ("cutmix", "saliencymix")]
# The paper's means of three runs, with c4's protocol; the CutMix paper's figures are beside them in the report.
paper = dict(baseline=0.7671, cutout=0.7717, mixup=0.7798, cutmix=0.7831, saliencymix=0.7848)
