batch_augments = dict(augments=dict(type="OfficialSaliencyMix", alpha=1.0), probs=0.5)
