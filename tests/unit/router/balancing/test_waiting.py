"""The line: first come, first served, the urgent before the others, and never longer than it may be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.balancing.waiting import PRIORITIES, WaitingLine
from fleet_spec.governance_spec import Priority

pytestmark = pytest.mark.unit


class Person:
    def __init__(self, name: str) -> None:
        self.name = name
        self.sent_away = False

    def displaced(self) -> None:
        self.sent_away = True


def line_of(*people: tuple[str, Priority]) -> tuple[WaitingLine[Person], dict[str, Person]]:
    line: WaitingLine[Person] = WaitingLine()
    known = {name: Person(name) for name, _ in people}
    for name, priority in people:
        assert line.join(known[name], priority, places=len(people))
    return line, known


def taken(line: WaitingLine[Person]) -> list[str]:
    names: list[str] = []
    while (person := line.take()) is not None:
        names.append(person.name)
    return names


def test_first_come_first_served_within_a_priority() -> None:
    line, _ = line_of(("a", "low"), ("b", "normal"), ("c", "high"), ("d", "normal"), ("e", "high"))
    assert taken(line) == ["c", "e", "b", "d", "a"]
    assert line.size == 0


def test_who_leaves_gives_the_place_up() -> None:
    line, known = line_of(("a", "normal"), ("b", "normal"), ("c", "normal"))
    line.leave(known["b"])
    line.leave(known["b"])
    assert line.size == 2
    assert taken(line) == ["a", "c"]


def test_a_full_line_takes_nobody_who_is_no_more_urgent() -> None:
    line, known = line_of(("a", "normal"), ("b", "low"))
    assert not line.join(Person("c"), "low", places=2)
    assert line.join(Person("d"), "high", places=2)
    assert known["b"].sent_away
    assert not known["a"].sent_away
    assert taken(line) == ["d", "a"]
    assert not line.join(Person("e"), "high", places=0)


def test_who_has_to_wait_again_keeps_its_turn() -> None:
    line, known = line_of(("a", "normal"), ("b", "normal"))
    assert line.take() is known["a"]
    assert line.join(known["a"], "normal", places=1, in_front=True)
    assert taken(line) == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from(["join", "take", "leave"]), st.sampled_from(PRIORITIES), st.integers(0, 9))))
def test_it_is_as_long_as_those_in_it(steps: list[tuple[str, Priority, int]]) -> None:
    line: WaitingLine[Any] = WaitingLine()
    everybody: list[Person] = []
    for step, priority, number in steps:
        if step == "join":
            everybody.append(Person(str(len(everybody))))
            line.join(everybody[-1], priority, places=5)
        elif step == "take":
            line.take()
        elif number < len(everybody):
            line.leave(everybody[number])
        assert line.size == len(line.all()) <= 5
