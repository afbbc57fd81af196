"""The publisher without a browser: a pretended clock for when, real threads for that it never waits."""

from __future__ import annotations

import gc
import math
import threading
import time
import weakref
from itertools import pairwise

import pytest

from gmmlab.widgets.publisher import SLOW_FRAMES, Flow, Publisher

PATIENCE = 20


@pytest.fixture
def flow():
    """A flow with a view that has just appeared, at time 0."""
    flow = Flow()
    flow.ready(0.0)
    return flow


def test_nothing_goes_before_a_view_is_ready():
    assert Flow().due(5.0) == math.inf


def test_two_frames_in_flight_then_acknowledgements(flow):
    assert flow.due(0.0) == 0
    assert flow.sent(0.0) == 1
    assert flow.sent(0.1) == 2
    assert flow.due(0.2) > 1, "two are on their way: wait for the view, or until it counts as silent"
    flow.acked(1, 0.2)
    assert flow.due(0.2) == 0
    flow.sent(0.2)
    flow.acked(3, 0.3)
    assert flow.due(0.3) == 0, "a view that has painted frame 3 is done with frame 2"


def test_at_most_thirty_frames_a_second(flow):
    sent, now = 0, 0.0
    while now < 1.0:
        if flow.due(now) == 0:
            flow.acked(flow.sent(now), now)
            sent += 1
        now += 0.001
    assert 29 <= sent <= 31


def test_a_silent_view_gets_a_frame_a_second_and_then_none(flow):
    sent, now = [], 0.0
    while now < 60.0:
        if flow.due(now) == 0:
            flow.sent(now)
            sent.append(now)
        now += 0.01
    assert len(sent) == 2 + SLOW_FRAMES
    assert sent[2] == pytest.approx(2.0, abs=0.02)
    gaps = [b - a for a, b in pairwise(sent[2:])]
    assert gaps == pytest.approx([1.0] * len(gaps), abs=0.02)
    assert not flow.alive
    flow.ready(60.0)
    assert flow.due(60.0) == 0, "until it says that it is ready"


def test_an_acknowledgement_wakes_a_slow_view(flow):
    flow.sent(0.0)
    flow.sent(0.05)
    frame = flow.sent(2.1)
    flow.acked(frame, 2.3)
    assert flow.due(2.3) == 0
    flow.sent(2.3)
    assert flow.due(2.35) == 0


def test_silence_is_counted_from_the_first_unanswered_frame(flow):
    flow.acked(flow.sent(0.0), 0.1)
    flow.sent(100.0)
    flow.sent(100.1)
    assert flow.due(100.2) == pytest.approx(1.8, abs=0.05), "a long pause in the fit is not the view's silence"


@pytest.mark.parametrize("frame", [0, 7, -1])
def test_stray_acknowledgements_change_nothing(flow, frame):
    flow.sent(0.0)
    flow.sent(0.1)
    flow.acked(frame, 0.2)
    assert flow.due(0.2) > 1


def test_the_last_frame_is_overdue_until_it_is_painted_or_the_view_is_gone(flow):
    assert flow.overdue(0.0) == math.inf, "nothing was sent"
    first = flow.sent(0.0)
    assert flow.overdue(0.0) == flow.patience
    flow.acked(first, 0.1)
    assert flow.overdue(0.1) == math.inf
    now, count = 1.0, 0
    while math.isfinite(wait := flow.overdue(now) if count else 0.0):
        now, count = now + wait, count + 1
        flow.sent(now)
    assert 3 < count < 10 and not flow.alive


class View:
    """A browser that paints what it gets, if it is told to."""

    def __init__(self, *, painting: bool = True) -> None:
        self.received: list = []
        self.painting = painting
        self.publisher = Publisher(self.receive, lambda item, frame: ({"frame": frame, "item": item}, []))

    def receive(self, content, _) -> None:
        self.received.append(content)
        if self.painting and "frame" in content:
            self.publisher.ack(content["frame"])

    def items(self) -> list:
        return [content.get("item", content.get("note")) for content in self.received]

    def until(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; received {self.received}"
            time.sleep(0.002)


def test_the_latest_snapshot_wins():
    view = View()
    view.publisher.ready()
    for item in range(1000):
        view.publisher.offer(item)
    view.until(lambda: view.items()[-1:] == [999])
    assert len(view.received) < 50
    assert view.items() == sorted(view.items())


def test_a_frame_that_is_lost_is_sent_again():
    view = View(painting=False)
    view.publisher._flow.patience = 0.05
    view.publisher.ready()
    view.publisher.offer("last")
    view.until(lambda: view.items() == ["last", "last"])
    view.publisher.ack(view.received[-1]["frame"])
    assert view.publisher._flow.overdue(math.inf) == math.inf


def test_the_one_who_offers_never_waits():
    blocked = threading.Event()
    publisher = Publisher(lambda *_: blocked.wait(PATIENCE), lambda *_: ({}, []))
    publisher.ready()
    begin = time.monotonic()
    for item in range(10_000):
        publisher.offer(item)
    assert time.monotonic() - begin < 2
    blocked.set()
    publisher.close()


def test_frames_stop_while_the_view_paints():
    view = View(painting=False)
    view.publisher.ready()
    for item in range(20):
        view.publisher.offer(item)
        time.sleep(0.02)
    assert len(view.received) == 2
    view.publisher.ack(2)
    view.until(lambda: view.items()[-1] == 19)


def test_messages_go_in_order_and_before_the_next_frame():
    view = View()
    view.publisher.post(lambda: ({"note": "points"}, []))
    view.publisher.post(lambda: ({"note": "reply"}, []))
    view.until(lambda: view.items() == ["points", "reply"])
    view.publisher.offer("first")
    time.sleep(0.1)
    assert view.items() == ["points", "reply"], "no frame before the view is ready"
    view.publisher.post(lambda: ({"note": "points again"}, []))
    view.publisher.ready()
    view.until(lambda: len(view.received) == 4)
    assert view.items()[2:] == ["points again", "first"]


def test_a_view_that_comes_back_gets_the_latest_again():
    view = View()
    view.publisher.offer("shown")
    view.publisher.ready()
    view.until(lambda: view.items() == ["shown"])
    view.publisher.ready()
    view.until(lambda: view.items() == ["shown", "shown"])


def test_a_sender_that_fails_is_silent_until_the_next_view():
    sent = []

    def send(content, _):
        if not sent:
            sent.append(None)
            raise OSError("the connection is gone")
        sent.append(content["item"])

    publisher = Publisher(send, lambda item, _: ({"item": item}, []))
    publisher.offer("a")
    publisher.ready()
    deadline = time.monotonic() + PATIENCE
    while publisher.error is None:
        assert time.monotonic() < deadline
    assert not publisher.alive
    publisher.ready()
    while sent[-1] != "a":
        assert time.monotonic() < deadline
        time.sleep(0.002)
    publisher.close()


@pytest.mark.parametrize("how", ["close", "drop"])
def test_the_thread_ends(how):
    publisher = Publisher(lambda *_: None, lambda *_: ({}, []))
    publisher.ready()
    thread, ghost = publisher._worker.thread, weakref.ref(publisher)
    if how == "close":
        publisher.close()
    else:
        del publisher
        gc.collect()
        assert ghost() is None
    thread.join(PATIENCE)
    assert not thread.is_alive()
