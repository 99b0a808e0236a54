mixing = dict(augments=dict(type="Cutout", length=16), probs=1.0)
