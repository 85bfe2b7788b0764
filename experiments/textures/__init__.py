"""Experiment 1: textures of any size from one picture, against Portilla and Simoncelli's model."""
