"""Experiment 2: small sets of aligned objects, and what lies between them."""
