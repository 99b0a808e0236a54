"""Measurements that the documents quote: replaced area, peaks in padding, the released code's map."""
