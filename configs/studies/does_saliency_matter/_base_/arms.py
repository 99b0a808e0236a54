# The settings that each arm merges into the pretraining of a study, which mixes nothing.

# The method as the paper's text has it: a box for each image, around the peak of its true map, kept inside.
shift = dict(
    type="SaliencyMix",
    alpha=1.0,
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7],
    channel_order="rgb",
    border="shift",
)
clip = dict(shift, border="clip")
augments = {
    # In every batch, as in its paper.
    "cutout": dict(type="Cutout", length=16),
    # One λ and one box a batch, around a random place, clipped.
    "cutmix": dict(type="CutMix", alpha=1.0),
    "random-shift": dict(shift, source="random"),
    # The released code: one λ and one box a batch, around the peak of no saliency, clipped.
    "official": dict(type="OfficialSaliencyMix", alpha=1.0),
    # Differs from the released code in the map alone.
    "saliency-batch": dict(clip, box_per="batch", lam_per="batch"),
    "saliency-clip": clip,
    "saliency-shift": shift,
    "spectral-residual": dict(shift, saliency=dict(type="SpectralResidualSaliency")),
    # The least value is shared by many pixels, and the first of them is most often near the top.
    "non-salient": dict(shift, source="non_salient", ties="random"),
    "random-ties": dict(shift, ties="random"),
    # Controls: the box comes from the map of another image.
    "shuffled-clip": dict(clip, type="ShuffledSaliencyMix"),
    "shuffled-shift": dict(shift, type="ShuffledSaliencyMix"),
    # Rivals: a whole image made smaller; every pixel in the ratio of the saliency; labels by visible saliency; the last
    # mixed batch, in every batch as in its paper.
    "resizemix": dict(type="PaperResizeMix", tau=[0.1, 0.8]),
    "guidedmixup": dict(type="GuidedMixup", mean=shift["mean"], std=shift["std"], channel_order="rgb"),
    "saliencymix-saliency-label": dict(shift, label="saliency"),
    "recursivemix": dict(type="RecursiveMix", alpha=0.5),
}
arms = {"baseline": dict(cfg_options={})}
for name, augment in augments.items():
    mixing = dict(augments=augment, probs=1.0 if name in ("cutout", "recursivemix") else 0.5)
    arms[name] = dict(cfg_options={"data_preprocessor.batch_augments": mixing})
# With its consistency loss.
arms["recursivemix"]["cfg_options"].update({"model.type": "RecursiveMixClassifier", "model.omega": 0.1})
# The map of the image before the crop: its peak does not lie in the padding.
before = {**arms["saliency-shift"]["cfg_options"], "data_preprocessor.saliency_before_crop": True}
arms["saliency-before-crop"] = dict(cfg_options=before)
del before, shift, clip, augments, name, augment, mixing
