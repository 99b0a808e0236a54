_base_ = "saliency-shift.py"
mixing = dict(augments=dict(saliency=dict(type="SpectralResidualSaliency")))
