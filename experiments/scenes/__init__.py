"""Experiment 3: scenes, over the number of training images, against DCGAN at equal time."""
