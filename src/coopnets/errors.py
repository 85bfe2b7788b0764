"""Errors that a user can act on: one line that says what is wrong and what to do."""


class CoopNetsError(Exception):
    """Any failure with a known cause; the command line prints its message and exits with 1."""


class DataError(CoopNetsError):
    """The data cannot be found, read or used."""


class SplitError(DataError):
    """The data are there, but not the part of them that was asked for."""


class RunError(CoopNetsError):
    """The run folder cannot be used as asked."""


class DivergenceError(CoopNetsError):
    """Training ran away and the roll-backs did not cure it."""
