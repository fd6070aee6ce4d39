from core.types import Boundary
from policies.boundaries import MAX_BOUNDARY_CHARS, boundaries_of, join_boundaries
from policies.loader import load_library


def test_texts_are_joined_once_per_placement_in_order() -> None:
    joined, left_out = join_boundaries(
        [
            Boundary("one", "last_user_prefix"),
            Boundary("two", "system_append"),
            Boundary("one", "last_user_prefix"),
            Boundary("three", "last_user_prefix"),
        ]
    )
    assert joined == (Boundary("one\nthree", "last_user_prefix"), Boundary("two", "system_append"))
    assert left_out == ()


def test_what_would_pass_the_cap_is_left_out_whole() -> None:
    long = Boundary("x" * (MAX_BOUNDARY_CHARS - 4), "system_append")
    joined, left_out = join_boundaries([long, Boundary("four", "system_append"), Boundary("abc", "system_append")])
    assert joined == (Boundary(long.text + "\nabc", "system_append"),)
    assert left_out == (Boundary("four", "system_append"),)
    assert join_boundaries([Boundary("x" * (MAX_BOUNDARY_CHARS + 1), "system_append")])[0] == ()


def test_the_language_is_chosen_with_english_for_the_rest() -> None:
    code = load_library()["code"]
    assert boundaries_of([code], "de")[0].text == code.boundary.text["de"]
    assert boundaries_of([code], "ko")[0].text == code.boundary.text["en"]
    silent = code.model_copy(update={"boundary": code.boundary.model_copy(update={"text": {}})})
    assert boundaries_of([silent], "en") == ()
