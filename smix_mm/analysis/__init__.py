"""Measurements quoted in the documentation: replaced area, saliency peaks in padding, the released code's map."""
