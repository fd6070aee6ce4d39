from detectors.lazy import Occurs, lazy


class Counted:
    calls = 0

    @lazy
    def double(self) -> int:
        self.calls += 1
        return 2


def test_a_lazy_attribute_is_computed_once_for_each_object() -> None:
    first, second = Counted(), Counted()
    assert "double" not in first.__dict__
    assert first.double + first.double + second.double == 6
    assert (first.calls, second.calls) == (1, 1)


def test_occurs_finds_any_of_its_patterns_in_utf8() -> None:
    either = Occurs(r"\bcat\b", "собак[аи]")
    assert either(b"a cat.")
    assert either("две собаки".encode())
    assert not either(b"concatenate")
    assert not either(b"")
