"""Bounds for what is worked on at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Callable, Coroutine, Deque, Optional, Set

Work = Callable[[], Coroutine[Any, Any, None]]


class Gate:
    """Counts what waits and is worked on, so that nothing more is read when that is too much."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def is_full(self) -> bool:
        return self.held >= self.most

    @property
    def is_over(self) -> bool:
        """Even while something is waited for, no more is taken."""
        return self.held >= 16 * self.most

    def enter(self) -> None:
        self.held += 1
        self._empty.clear()

    def leave(self) -> None:
        self.held -= 1
        self._changed.set()
        if self.held == 0:
            self._empty.set()

    def nudge(self) -> None:
        """Lets who waits look again."""
        self._changed.set()

    async def changed(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def emptied(self) -> None:
        await self._empty.wait()


class Job:
    """Something that waits, is worked on or is done."""

    def __init__(self, lane: Lane, work: Work) -> None:
        self._lane = lane
        self._work = work
        self.task: Optional[asyncio.Task[None]] = None

    def start(self) -> None:
        self.task = asyncio.ensure_future(self._work())
        self.task.add_done_callback(lambda _: self._lane.done(self))

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
        else:
            self._lane.forget(self)


class Lane:
    """Works on so many jobs at a time, in their order."""

    def __init__(self, width: int, gate: Gate) -> None:
        self._width = width
        self._gate = gate
        self._waiting: Deque[Job] = deque()
        self._working: Set[Job] = set()
        self._moved = asyncio.Event()

    async def room(self, most: int) -> None:
        """Waits until no more than so many jobs wait."""
        while len(self._waiting) > most:
            self._moved.clear()
            await self._moved.wait()

    def submit(self, work: Work) -> Job:
        job = Job(self, work)
        self._gate.enter()
        self._waiting.append(job)
        self._next()
        return job

    def _next(self) -> None:
        while self._waiting and len(self._working) < self._width:
            job = self._waiting.popleft()
            self._working.add(job)
            job.start()

    def done(self, job: Job) -> None:
        self._working.discard(job)
        self._gate.leave()
        self._moved.set()
        self._next()

    def forget(self, job: Job) -> None:
        try:
            self._waiting.remove(job)
        except ValueError:
            return
        self._gate.leave()
        self._moved.set()

    def cancel(self) -> None:
        for job in [*self._waiting, *self._working]:
            job.cancel()
