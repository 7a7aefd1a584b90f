"""What a subscription has heard, over all connections, so that what was published meanwhile comes from the history that the router
keeps, and no event comes twice."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional, Sequence

from .handler import Result

# Of so many events a subscriber knows that it has had them: events of several publishers may be kept in another order than that
# in which they came.
RECENT_MAX = 256
# So many of its own publications an application knows.
OWN_MAX = 4096
# Events that are asked for at a time.
PAGE = 256
# Histories of patterns that are asked for events of a topic.
SOURCES_MAX = 8


class Heard(NamedTuple):
    """An event, as it is handed to who hears it."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    fields: Mapping[str, Any]

    @property
    def publication(self) -> int:
        return int(self.fields["publication"])


class Past(NamedTuple):
    """An event of a history."""

    publication: int
    time: str
    event: Mapping[str, Any]

    def heard(self) -> Heard:
        """As it would have come."""
        args, kwargs, said = self.event.get("args"), self.event.get("kwargs"), self.event.get("details")
        fields = dict(said) if isinstance(said, dict) else {}
        if isinstance(self.event.get("topic"), str):
            fields.setdefault("topic", self.event["topic"])
        fields.update(publication=self.publication, replayed=True)
        return Heard(args if isinstance(args, list) else [], kwargs if isinstance(kwargs, dict) else {}, fields)


def page_of(answer: Result, is_reversed: bool) -> list[Past]:
    """The events of an answer, the oldest first. Crossbar.io gives one list of them, the newest first."""
    events = list(answer.args)
    is_list = len(events) == 1 and isinstance(events[0], list)
    if is_list:
        events = events[0]
    page = []
    for event in events:
        number = event.get("publication") if isinstance(event, dict) else None
        if isinstance(number, int):
            page.append(Past(number, str(event.get("timestamp", "")), event))
    if is_list or is_reversed:
        page.reverse()
    return page


class Recent:
    """The last ones of many numbers."""

    def __init__(self, most: int) -> None:
        self._most = most
        # A dictionary for its order.
        self._known: dict[int, None] = {}

    def add(self, number: int) -> None:
        self._known[number] = None
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def __contains__(self, number: int) -> bool:
        return number in self._known

    def __len__(self) -> int:
        return len(self._known)

    @property
    def is_full(self) -> bool:
        return len(self._known) >= self._most

    @property
    def first(self) -> Optional[int]:
        return next(iter(self._known), None)

    @property
    def last(self) -> Optional[int]:
        return next(reversed(self._known), None)


class Question(NamedTuple):
    """What is asked of a history."""

    kind: str
    """`newest`, `from` an event on, what follows `after` it, or `oldest`: what is there from the beginning on."""
    filter: Mapping[str, Any]
    anchor: Optional[int] = None
    """The event, if there is one."""

    @classmethod
    def newest(cls) -> Question:
        return cls("newest", {"reverse": True, "limit": 1})

    @classmethod
    def since(cls, anchor: int) -> Question:
        return cls("from", {"from_publication": anchor, "limit": PAGE}, anchor)

    @classmethod
    def after(cls, anchor: int) -> Question:
        return cls("after", {"after_publication": anchor, "limit": PAGE}, anchor)


class Memory:
    def __init__(self) -> None:
        self._recent = Recent(RECENT_MAX)
        # What was the newest when it began, or was seen last of the past: its publication and time. False: nothing was there.
        self._mark: Any = None
        self._held: Optional[list[Heard]] = None
        # All of a history is read: what is older is no news, unless something that was seen came before it.
        self._floor: Optional[str] = None
        # What has come from the past, and may come once more as it does to all others.
        self._filled: set[int] = set()
        self.refused = False
        """The router does not answer."""

    @property
    def holds(self) -> bool:
        """The past is asked for: what comes waits."""
        return self._held is not None

    def begin(self) -> None:
        """Begins to ask."""
        known = len(self._recent) > 0 or self._mark is not None
        self._held = [] if known else None
        self._filled.clear()

    def hold(self, event: Heard) -> None:
        assert self._held is not None, "it has begun to ask"
        self._held.append(event)

    def arrives(self, event: Heard) -> bool:
        """Whether an event is to be handed on."""
        number = event.publication
        if number in self._filled:
            self._filled.discard(number)
            return False
        # Who subscribes once more is given the retained event once more.
        if event.fields.get("retained") is True and self._has(number):
            return False
        self._recent.add(number)
        return True

    def _has(self, number: int) -> bool:
        return number in self._recent or bool(self._mark and self._mark[0] == number)

    def first(self) -> Question:
        """The first question to each history."""
        self._floor = None
        first = self._recent.first
        if first is not None:
            return Question.since(first)
        if self._mark:
            return Question.since(self._mark[0])
        return self._oldest() if self._mark is False else Question.newest()

    def _oldest(self) -> Question:
        self._floor = self._mark[1] if self._mark else None
        return Question("oldest", {"limit": PAGE})

    def next(self, question: Question, page: Sequence[Past]) -> Optional[Question]:
        """What to ask next of a history that has answered so."""
        if question.kind == "newest":
            return None
        if page:
            return Question.after(page[-1].publication) if len(page) >= PAGE else None
        return self._instead_of(question.anchor) if question.kind == "from" else None

    def _instead_of(self, anchor: Optional[int]) -> Question:
        """A history does not have what was asked for. It may have left it already, or has never been there: something newer may be
        there."""
        first, last = self._recent.first, self._recent.last
        if last is not None and first == anchor != last:
            return Question.since(last)
        # Behind it there may be more that was seen than is known.
        if self._mark and (not self._recent.is_full or self._mark[0] in self._recent) and self._mark[0] not in (anchor, first):
            return Question.since(self._mark[0])
        # It is not known what was there before the subscription.
        return Question.newest() if self._mark is None else self._oldest()

    def takes(self, question: Question, page: Sequence[Past], own: Recent) -> list[Past]:
        """Takes an answer, which is not empty; gives the events that are new."""
        fresh = [] if question.kind == "newest" else self._news(page, own)
        if self._floor is None or page[-1].time > self._floor:
            self._mark = (page[-1].publication, page[-1].time)
        for past in fresh:
            self._recent.add(past.publication)
            self._filled.add(past.publication)
        return fresh

    def _news(self, page: Sequence[Past], own: Recent) -> list[Past]:
        floor = self._floor
        known = next((at for at, past in enumerate(page) if self._has(past.publication)), None) if floor is not None else None

        def is_new(at: int, past: Past) -> bool:
            if self._has(past.publication) or past.publication in own:
                return False
            # Nothing is there of what was seen, so that more is gone than is there; or nothing of it was kept.
            return at > known if known is not None else floor is None or past.time > floor

        fresh = [past for at, past in enumerate(page) if is_new(at, past)]
        if known is not None:
            self._floor = None
        return fresh

    def nothing(self) -> None:
        """No history has anything."""
        if self._mark is None:
            self._mark = False

    def end(self) -> list[Heard]:
        """Nothing more is asked: gives what has waited."""
        held, self._held = self._held or [], None
        return held
