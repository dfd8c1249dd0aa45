"""Small words of messages."""


def number(n: int, noun: str) -> str:
    """A number of things in words."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def printable(name: str) -> str:
    """A file's name as UTF-8 can hold it: with a ? for each byte that is none, as in those of old archives."""
    return name.encode("utf-8", "replace").decode("utf-8")


def spoken(name: str) -> str:
    """A name of the program's as one reads it: `truncated_octahedron`, truncated octahedron."""
    return name.replace("_", " ")
