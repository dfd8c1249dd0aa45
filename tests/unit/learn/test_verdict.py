import pytest

from facetem.learn.verdict import verdict, verdict_words


@pytest.mark.parametrize(
    ("known", "possible", "told", "words"),
    [
        (True, ("truncated_octahedron",), "accepted", "truncated octahedron"),
        (True, ("cube", "cuboctahedron"), "abstained", "cannot tell: cube or cuboctahedron"),
        (True, ("cube", "twin", "octahedron"), "abstained", "cannot tell: cube, twin or octahedron"),
        (False, ("cube",), "unknown", "none of these"),
        (False, ("cube", "twin"), "unknown", "none of these"),
    ],
)
def test_verdicts_and_their_words(known: bool, possible: tuple[str, ...], told: str, words: str) -> None:
    assert verdict(known, possible) == told
    assert verdict_words(known, possible) == words
