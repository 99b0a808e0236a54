_base_ = "recursivemix.py"
model = dict(omega=0.5)
