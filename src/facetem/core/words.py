"""Small words of messages."""


def number(n: int, noun: str) -> str:
    """A number of things in words."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def spoken(name: str) -> str:
    """A name of the program's as one reads it: `truncated_octahedron`, truncated octahedron."""
    return name.replace("_", " ")
