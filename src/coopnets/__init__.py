"""Cooperative learning of descriptor and generator networks."""
