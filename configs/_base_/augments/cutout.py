# A hole in every batch, as in the Cutout paper.
batch_augments = dict(augments=dict(type="Cutout", length=16), probs=1.0)
