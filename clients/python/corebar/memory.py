"""What a subscription has heard, over all connections, so that what was published meanwhile comes from the history that the router
keeps, and no event comes twice."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional, Sequence

from .handler import Result

# Of so many events a subscriber knows that it has had them: events of several publishers may be kept in another order than that
# in which they came.
RECENT_MAX = 256
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


class Memory:
    def __init__(self) -> None:
        # A dictionary for its order.
        self._recent: dict[int, None] = {}
        # What was the newest when it began, or was seen last of the past: its publication and time. False: nothing was there.
        self._mark: Any = None
        self._held: Optional[list[Heard]] = None
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
        known = bool(self._recent) or self._mark is not None
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
        self._see(number)
        return True

    def _see(self, number: int) -> None:
        self._recent[number] = None
        while len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]

    def _has(self, number: int) -> bool:
        return number in self._recent or bool(self._mark and self._mark[0] == number)

    def first(self) -> tuple[str, dict[str, Any]]:
        """The first question to each history."""
        if self._recent:
            return "from", {"from_publication": next(iter(self._recent)), "limit": PAGE}
        if self._mark:
            return "from", {"from_publication": self._mark[0], "limit": PAGE}
        if self._mark is False:
            return "last", {"reverse": True, "limit": PAGE}
        return "newest", {"reverse": True, "limit": 1}

    def takes(self, ask: str, page: Sequence[Past]) -> list[Past]:
        """Takes an answer, which is not empty; gives the events that are new."""
        mark = self._mark
        known = max((at for at, past in enumerate(page) if self._has(past.publication)), default=-1)

        def is_new(at: int, past: Past) -> bool:
            if ask == "newest" or self._has(past.publication):
                return False
            if ask != "last":
                return True
            # Nothing is there of what was seen, so that more is gone than is there; or nothing of it was kept.
            return at > known if known >= 0 else mark is False or bool(mark and past.time > mark[1])

        fresh = [past for at, past in enumerate(page) if is_new(at, past)]
        self._mark = (page[-1].publication, page[-1].time)
        for past in fresh:
            self._see(past.publication)
            self._filled.add(past.publication)
        return fresh

    def nothing(self) -> None:
        """No history has anything."""
        if self._mark is None:
            self._mark = False

    def end(self) -> list[Heard]:
        """Nothing more is asked: gives what has waited."""
        held, self._held = self._held or [], None
        return held
