# The options that each arm merges into the pretraining of a study, which mixes nothing.

# The method as the paper's text has it: a box for each image, around the peak of its true map, kept inside.
shift = {"augment": "saliencymix"}
clip = {**shift, "augment.border": "clip"}
shuffled = "ShuffledSaliencyMix"
arms = {
    "baseline": {},
    "cutout": {"augment": "cutout"},
    # One λ and one box a batch, around a random place, clipped.
    "cutmix": {"augment": "cutmix"},
    "random-shift": {**shift, "augment.source": "random"},
    # The released code: one λ and one box a batch, around the peak of no saliency, clipped.
    "official": {"augment": "official-saliencymix"},
    # Differs from the released code in the map alone.
    "saliency-batch": {**clip, "augment.box_per": "batch", "augment.lam_per": "batch"},
    "saliency-clip": clip,
    "saliency-shift": shift,
    "spectral-residual": {**shift, "augment.saliency.type": "SpectralResidualSaliency"},
    # The least value is shared by many pixels, and the first of them is most often near the top.
    "non-salient": {**shift, "augment.source": "non_salient", "augment.ties": "random"},
    "random-ties": {**shift, "augment.ties": "random"},
    # Controls: the box comes from the map of another image.
    "shuffled-clip": {**clip, "augment.type": shuffled},
    "shuffled-shift": {**shift, "augment.type": shuffled},
    # Rivals: a whole image made smaller; every pixel in the ratio of the saliency; labels by visible saliency; the last
    # mixed batch.
    "resizemix": {"augment": "resizemix"},
    "guidedmixup": {"augment": "guidedmixup"},
    "saliencymix-saliency-label": {**shift, "augment.label": "saliency"},
    "recursivemix": {"augment": "recursivemix"},
    # The map of the image before the crop: its peak does not lie in the padding.
    "saliency-before-crop": {**shift, "data_preprocessor.saliency_before_crop": True},
}
arms = {name: dict(cfg_options=options) for name, options in arms.items()}
del clip, shift, shuffled
