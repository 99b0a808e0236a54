# One λ and one box a batch, around a random place, clipped.
mixing = dict(augments=dict(type="CutMix", alpha=1.0), probs=0.5)
