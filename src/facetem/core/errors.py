"""The one exception that the public boundary raises for bad input."""


class InputError(ValueError):
    """Input that cannot be used. The message is one line: what it was, what was expected, what to do."""
