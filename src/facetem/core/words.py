"""Small words of messages."""


def number(n: int, noun: str) -> str:
    """A number of things in words."""
    return f"{n} {noun}" + ("" if n == 1 else "s")
