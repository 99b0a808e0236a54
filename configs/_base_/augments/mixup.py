batch_augments = dict(augments=dict(type="Mixup", alpha=1.0), probs=1.0)
