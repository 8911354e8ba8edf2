"""A policy and its plain sentences are the same thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import FIELDS, PROFILES, Policy, explain, from_sentences
from tests.unit.policy.strategies import odd_paths, paths, policies


@given(policies(places=paths | odd_paths))
def test_a_policy_survives_being_explained(policy: Policy) -> None:
    """What explain writes, from_sentences reads as an equal policy."""
    assert from_sentences(explain(policy)) == policy


@given(policies(places=odd_paths))
def test_sentences_can_be_printed_whatever_the_paths_hold(policy: Policy) -> None:
    """No line break, escape code, surrogate or mark of direction reaches the screen."""
    sentences = explain(policy)
    assert len(sentences) == len(FIELDS)
    assert all(sentence.isprintable() and sentence.endswith(".") for sentence in sentences)


@given(policies(), policies())
def test_different_policies_have_different_sentences(a: Policy, b: Policy) -> None:
    """No two meanings share a text, field by field."""
    for field, one, other in zip(FIELDS, explain(a), explain(b), strict=True):
        assert (one == other) == (getattr(a, field) == getattr(b, field))


def test_the_sentences_say_what_a_reader_wants_to_know() -> None:
    """Network, limits, places and names stand there in words."""
    text = "\n".join(
        explain(
            Policy(
                inputs="df",
                outputs="y",
                timeout=30,
                memory="512M",
                read_only='/a "b"',
                writable="/w",
            )
        )
    )
    for said in (
        "it can open no network socket",
        "Only these variables of the notebook may be visible to it: df.",
        "Only these variables may come back: y.",
        "It is stopped after 30s by the clock.",
        "It may take 512MiB of new memory",
        r'and: "/a \"b\"".',
        'It can change files for good at: "/w".',
    ):
        assert said in text


DEFAULT = explain(Policy())


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("network", "The cell has a network."),
        ("memory", "It may take 4096MiB of new memory, on top of what the notebook uses already."),
        ("memory", "It may take  of new memory, on top of what the notebook uses already."),
        ("memory", "It may take lots of new memory, on top of what the notebook uses already."),
        ("timeout", "It is stopped after 60s by the clock."),
        ("timeout", "It is stopped after  by the clock."),
        ("pids", "It may have 0512 processes and threads at once."),
        ("outputs", "Only these variables may come back: b, a."),
        ("outputs", "Only these variables may come back: ."),
        ("outputs", "Only these variables may come back: print."),
        ("writable", "It can change files for good at: /w."),
        ("writable", 'It can change files for good at: "/w",.'),
        ("writable", 'It can change files for good at: "/w" "/x".'),
        ("writable", 'It can change files for good at: "/w", .'),
        ("writable", 'It can change files for good at: "/\\u0061".'),
        ("writable", 'It can change files for good at: "/\\Uffffffff".'),
        ("writable", 'It can change files for good at: "/\\x".'),
        ("writable", "It can change files for good at: ."),
        ("writable", "It can change files for good at:."),
        ("session", "Its own variables live on in the session a b."),
        ("trust", "It is trusted."),
        ("trust", ""),
    ],
)
def test_a_sentence_that_explain_would_not_write_is_refused(field: str, sentence: str) -> None:
    """An edited sentence never means something by chance, not even the same thing."""
    sentences = list(DEFAULT)
    sentences[FIELDS.index(field)] = sentence
    with pytest.raises(PolicyError) as caught:
        from_sentences(sentences)
    assert caught.value.field == field


def test_sentences_must_be_complete_and_in_order() -> None:
    """A missing, doubled or moved sentence is an error, never a default."""
    assert from_sentences(DEFAULT) == Policy()
    for wrong in (DEFAULT[1:], [*DEFAULT, DEFAULT[0]], DEFAULT[::-1], []):
        with pytest.raises(PolicyError):
            from_sentences(wrong)


@given(st.integers(0, len(FIELDS) - 1), st.text(max_size=40))
def test_any_text_is_a_sentence_or_a_policy_error(place: int, text: str) -> None:
    """The reader raises nothing else, whatever it reads."""
    sentences = list(DEFAULT)
    sentences[place] = text
    try:
        assert explain(from_sentences(sentences)) == sentences
    except PolicyError:
        assert text != DEFAULT[place]


def test_every_profile_can_be_explained() -> None:
    """The texts that `%kavach explain --profile` shows exist and differ."""
    assert len({tuple(explain(policy)) for policy in PROFILES.values()}) == len(PROFILES)
