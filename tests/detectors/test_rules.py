from detectors.rules import MAX_HITS, Rule, apply_rules


def apply(rule, text, **hits):
    found = {name: [(text.index(word), text.index(word) + len(word)) for word in words] for name, words in hits.items()}
    rule.apply(text, found)
    return [text[start:end] for start, end in found.get(rule.name, ())]


def test_a_pair_needs_both_near_and_in_one_sentence():
    rule = Rule("r", ("verb",), ("noun",), gap=20)
    assert apply(rule, "write me a poem", verb=["write"], noun=["poem"]) == ["write me a poem"]
    assert apply(rule, "a poem to write", verb=["write"], noun=["poem"]) == ["poem to write"]
    assert apply(rule, "write. a poem", verb=["write"], noun=["poem"]) == []
    assert apply(rule, "write " + "x" * 30 + " poem", verb=["write"], noun=["poem"]) == []


def test_an_ordered_pair_runs_one_way():
    rule = Rule("r", ("verb",), ("noun",), ordered=True)
    assert apply(rule, "a poem to write", verb=["write"], noun=["poem"]) == []


def test_gap_zero_spans_from_one_to_the_other_anywhere():
    rule = Rule("r", ("a",), ("b",), gap=0)
    assert apply(rule, "x one. two. three", a=["three"], b=["one"]) == ["one. two. three"]


def test_needs_unless_and_length():
    text = "alpha beta"
    assert apply(Rule("r", ("a",), needs=("b",)), text, a=["alpha"]) == []
    assert apply(Rule("r", ("a",), needs=("b",)), text, a=["alpha"], b=["beta"]) == ["alpha"]
    assert apply(Rule("r", ("a",), unless=("b",)), text, a=["alpha"], b=["beta"]) == []
    assert apply(Rule("r", ("a",), low=50), text, a=["alpha"]) == []
    assert apply(Rule("r", ("a",), high=5), text, a=["alpha"]) == []


def test_count_wants_different_words():
    text = "alpha alpha beta"
    assert apply(Rule("r", ("a",), count=2), text, a=["alpha", "alpha"]) == []
    assert apply(Rule("r", ("a",), count=2), text, a=["alpha", "beta"]) == ["alpha", "beta"]


def test_hits_are_bounded():
    hits = {"a": [(n, n + 1) for n in range(MAX_HITS * 3)]}
    Rule("r", ("a",)).apply("x" * 999, hits)
    assert len(hits["r"]) == MAX_HITS


def test_rules_apply_in_order_and_read_what_earlier_ones_added():
    rules = (Rule("late", ("early",)), Rule("early", ("a",)), Rule("early.again", ("early",)))
    hits = {"a": [(0, 1)]}
    apply_rules(rules, "x", hits)
    assert hits == {"a": [(0, 1)], "early": [(0, 1)], "early.again": [(0, 1)]}
