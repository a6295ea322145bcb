"""Requests of strangers: a few at a time, each network its share."""

import asyncio
from types import SimpleNamespace

from pm_app.web.auth.crowd import Crowd


def run(story):
    return asyncio.run(asyncio.wait_for(story, 10))


async def settled(*tasks):
    """Let tasks get as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def stay(crowd, network, leave, connection=None):
    async with crowd.place(network, connection) as room:
        if room:
            await leave.wait()
        return room


def start(crowd, network, leave, connection=None):
    return asyncio.ensure_future(stay(crowd, network, leave, connection))


def test_one_network_leaves_room_for_others():
    async def story():
        crowd, leave, other = Crowd(most=4, most_of_a_network=2), asyncio.Event(), asyncio.Event()
        flood = [start(crowd, "a", leave) for _ in range(10)]
        await settled()
        other.set()
        assert await stay(crowd, "b", other)
        assert not any(task.done() for task in flood)
        leave.set()
        assert all(await asyncio.gather(*flood))
        assert crowd._at_work.total() == 0

    run(story())


def test_who_waits_too_long_is_sent_away():
    async def story():
        crowd, leave = Crowd(most=1, wait_seconds=0.01), asyncio.Event()
        first, second = start(crowd, "a", leave), start(crowd, "b", leave)
        assert await second is False
        leave.set()
        assert await first and await stay(crowd, "c", leave)

    run(story())


def test_whose_connection_had_to_go_is_not_waited_for():
    async def story():
        crowd, leave = Crowd(most=1), asyncio.Event()
        gone = SimpleNamespace(gone=True, waiting=False)
        first, second = start(crowd, "a", leave), start(crowd, "b", leave, gone)
        third = start(crowd, "c", leave)
        await settled()
        assert gone.waiting
        leave.set()
        assert await asyncio.gather(first, second, third) == [True, False, True]
        assert not gone.waiting and crowd._at_work.total() == 0

    run(story())
