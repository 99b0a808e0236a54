# In every batch, as in its paper.
batch_augments = dict(augments=dict(type="RecursiveMix", alpha=0.5), probs=1.0)
