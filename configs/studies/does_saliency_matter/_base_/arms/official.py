# The released code: one λ and one box a batch, around the peak of no saliency, clipped.
mixing = dict(augments=dict(type="OfficialSaliencyMix", alpha=1.0), probs=0.5)
