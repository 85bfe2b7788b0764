"""Experiment 6 of the TPAMI paper: completion of faces with a hidden square, nine methods."""
