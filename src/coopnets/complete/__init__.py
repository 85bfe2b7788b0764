"""Pattern completion: fill in what is missing, by the networks or by classic methods."""
