import pytest

from facetem.learn.verdict import is_judged, is_known, verdict, verdict_words


@pytest.mark.parametrize(
    ("judged", "known", "possible", "told", "words"),
    [
        (True, True, ("truncated_octahedron",), "accepted", "truncated octahedron"),
        (True, True, ("cube", "cuboctahedron"), "abstained", "cannot tell: cube or cuboctahedron"),
        (True, True, ("cube", "twin", "octahedron"), "abstained", "cannot tell: cube, twin or octahedron"),
        (True, False, ("cube",), "unknown", "none of these"),
        (True, False, ("cube", "twin"), "unknown", "none of these"),
        (False, False, ("cube",), "not judged", "not judged"),
    ],
)
def test_verdicts_and_their_words(
    judged: bool, known: bool, possible: tuple[str, ...], told: str, words: str
) -> None:
    answered = verdict(judged, known, possible)
    assert answered == told
    assert verdict_words(answered, possible) == words


@pytest.mark.parametrize(
    ("familiar", "foreign", "hidden", "judged", "known"),
    [
        (True, None, "", True, True),
        (False, None, "", True, False),
        (True, 3.5, "", True, False),
        (True, None, "cut", False, False),
        (False, None, "cut", False, False),
        (True, 3.5, "cut", True, False),  # another crystal, however little of it is seen
    ],
)
def test_three_facts_decide_what_is_judged_and_known(
    familiar: bool, foreign: float | None, hidden: str, judged: bool, known: bool
) -> None:
    assert is_judged(foreign, hidden) is judged
    assert is_known(familiar, foreign, hidden) is known
