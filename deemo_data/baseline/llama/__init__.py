"""DEEMO-LLaMA, the trained baseline. Needs torch. model.py is the network, train.py and predict.py use it."""
