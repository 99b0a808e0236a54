batch_augments = dict(augments=dict(type="CutMix", alpha=1.0), probs=0.5)
