# In every batch, with its consistency loss, as in its paper.
batch_augments = dict(augments=dict(type="RecursiveMix", alpha=0.5), probs=1.0)
model = dict(type="RecursiveMixClassifier", omega=0.1)
