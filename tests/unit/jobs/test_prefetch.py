"""Items prefetched: the same ones, the same errors, and nothing left open."""

import threading

import pytest

from pm_app.jobs.ingest.panes import prefetch


def test_items_come_in_order_and_are_made_by_another_thread():
    makers = []

    def items():
        for number in range(5):
            makers.append(threading.get_ident())
            yield number

    assert list(prefetch(items())) == [0, 1, 2, 3, 4]
    assert threading.get_ident() not in makers


def test_the_next_item_is_made_while_the_present_one_is_in_use():
    made = threading.Event()

    def items():
        yield "present"
        made.set()
        yield "next"

    for item in prefetch(items()):
        if item == "present":
            assert made.wait(timeout=30)


def test_what_making_an_item_raises_comes_in_its_place():
    def items():
        yield 1
        raise ValueError("the second is spoilt")

    coming = prefetch(items())

    assert next(coming) == 1
    with pytest.raises(ValueError, match="the second is spoilt"):
        next(coming)


def test_a_user_who_ends_early_leaves_nothing_open():
    closed = []

    def items():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    coming = prefetch(items())
    next(coming)
    coming.close()

    assert closed == [True]
