batch_augments = dict(augments=dict(type="PaperResizeMix", tau=[0.1, 0.8]), probs=0.5)
