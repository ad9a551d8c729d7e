"""The loop: timers, descriptors, signals, deferred calls, stale events, embedding."""

from __future__ import annotations

import os
import resource
import select
import signal
import threading
import time

import pytest

import lowrun as lr
from lowrun.core.fd import OwnedFd


def test_timers_fire_in_order_and_once() -> None:
    """A timer calls back after its time, once; an interval again and again until it is closed."""
    calls: list[str] = []
    with lr.Loop() as loop:
        late = loop.add_timer(0.03, lambda: (calls.append("late"), loop.stop()))
        early = loop.add_timer(0.001, lambda: calls.append("early"))
        every = loop.add_timer(0.005, lambda: calls.append("every"), every=0.005)
        loop.run()
        for timer in (late, early, every):
            timer.close()
    assert calls[0] == "early"
    assert "late" in calls
    assert calls.count("every") >= 2


def test_timers_need_no_descriptor() -> None:
    """When none is left they are added, armed anew and fire as ever."""
    fired: list[str] = []
    with lr.Loop() as loop:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with OwnedFd(os.open("/", os.O_PATH)) as lowest:
            number = lowest.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                os.open("/", os.O_PATH)
            late = loop.add_timer(0.02, lambda: (fired.append("late"), loop.stop()))
            again = loop.add_timer(1000, lambda: fired.append("again"))
            again.set(0.001)
            loop.run()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        late.close()
        again.close()
    assert fired == ["again", "late"]


def test_timers_that_are_closed_armed_and_added_by_others() -> None:
    """One that another closes does not fire, though both are due; what one adds fires in a later turn, once."""
    fired: list[str] = []
    with lr.Loop() as loop:
        timers: list[lr.Timer] = []

        def first() -> None:
            fired.append("first")
            timers[1].close()
            timers.append(loop.add_timer(0, lambda: fired.append("added")))
            timers[2].set(0.001)

        timers += [loop.add_timer(0, first), *(loop.add_timer(0, lambda: fired.append("not")) for _ in range(2))]
        time.sleep(0.002)
        loop.dispatch()
        assert fired == ["first"]
        while len(fired) < 3:
            loop.dispatch(-1)
        assert sorted(fired) == ["added", "first", "not"]
        timers[2].set(0)
        loop.dispatch(-1)
        assert fired[3:] == ["not"]
        for timer in timers:
            timer.close()
            timer.close()
        with pytest.raises(lr.ClosedError):
            timers[2].set(0)


def test_timers_leave_other_sources_their_turn() -> None:
    """A thousand that are due at once fire in several turns, all of them."""
    fired: list[int] = []
    with lr.Loop() as loop:
        timers = [loop.add_timer(0, lambda: fired.append(1)) for _ in range(1000)]
        time.sleep(0.001)
        loop.dispatch(-1)
        assert 0 < len(fired) < 1000
        while len(fired) < 1000:
            loop.dispatch(-1)
        for timer in timers:
            timer.close()


def test_a_timer_that_raises_holds_no_other_up() -> None:
    """What it raises comes out of dispatch(); the next one that is due fires in the next."""
    fired: list[int] = []
    with lr.Loop() as loop:
        with loop.add_timer(0, lambda: 1 / 0), loop.add_timer(0, lambda: fired.append(1)):
            with pytest.raises(ZeroDivisionError):
                loop.dispatch(-1)
            loop.dispatch(-1)
    assert fired == [1]


def test_an_interval_that_comes_late_does_not_catch_up() -> None:
    """Ticks that were missed are one; the next comes at its time."""
    fired: list[float] = []
    with lr.Loop() as loop, loop.add_timer(0.01, lambda: fired.append(time.monotonic()), every=0.01):
        begin = time.monotonic()
        time.sleep(0.055)
        loop.dispatch()
        assert len(fired) == 1
        loop.dispatch(-1)
    ticks = (fired[1] - begin) / 0.01
    assert len(fired) == 2 and ticks >= 5.99


def test_a_stale_event_is_dropped() -> None:
    """Two ready pipes; the first callback closes the second and opens another with its number: it is not called."""
    called: list[str] = []
    with lr.Loop() as loop:
        pipes = [os.pipe() for _ in range(2)]
        for _, write in pipes:
            os.write(write, b"x")
        sources: list[lr.IoSource] = []
        extra: list[int] = []

        def first(_events: int) -> None:
            called.append("one")
            for source in sources:
                source.close()
            for read, write in pipes:
                os.close(read)
                os.close(write)
            extra.extend(os.pipe())  # the numbers are used again at once
            sources.append(loop.add_io(extra[0], lr.READ, lambda _e: called.append("reborn")))

        sources.extend(loop.add_io(read, lr.READ, first) for read, _ in pipes)
        loop.dispatch()
        assert called == ["one"]
        for source in sources:
            source.close()
    for fd in extra:
        os.close(fd)


def test_deferred_calls_keep_their_order_and_wake() -> None:
    """Calls deferred from here and from another thread run in order; the loop wakes for them."""
    calls: list[int] = []
    with lr.Loop() as loop:
        loop.call_soon(lambda: calls.append(1))
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
        loop.call_soon(lambda: (calls.append(2), thread.start()))
        loop.run()
        thread.join()
    assert calls == [1, 2]


def test_what_a_callback_raises_comes_out_and_nothing_is_lost() -> None:
    """An exception leaves dispatch(); the call deferred after it runs in the next one."""
    calls: list[int] = []
    with lr.Loop() as loop:
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(lambda: calls.append(1))
        with pytest.raises(ZeroDivisionError):
            loop.dispatch()
        loop.dispatch()
    assert calls == [1]


def test_the_descriptor_polls_exactly_when_there_is_work() -> None:
    """fileno() is readable when a source is ready and not before: all that another loop needs."""
    with lr.Loop() as loop:
        poll = select.poll()
        poll.register(loop.fileno(), select.POLLIN)
        assert poll.poll(0) == []
        fired: list[bool] = []
        with loop.add_timer(0.01, lambda: fired.append(True)):
            assert poll.poll(5000)
            loop.dispatch()
            assert fired
            assert poll.poll(0) == []


def test_an_idle_loop_never_wakes() -> None:
    """While another thread waits in run(), no voluntary context switch happens without an event."""
    with lr.Loop() as loop:
        ready = threading.Event()
        tid: list[int] = []

        def serve() -> None:
            tid.append(threading.get_native_id())
            loop.call_soon(ready.set)
            loop.run()

        def switches() -> int:
            with open(f"/proc/self/task/{tid[0]}/status") as status:
                return sum(int(line.split()[1]) for line in status if "voluntary_ctxt" in line)

        def sleeping() -> bool:
            with open(f"/proc/self/task/{tid[0]}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "S"

        thread = threading.Thread(target=serve)
        thread.start()
        ready.wait()
        while not sleeping():
            time.sleep(0)
        before = switches()
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            time.sleep(0.05)
        assert switches() == before
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_signals_come_as_events_and_the_mask_is_restored() -> None:
    """A signalfd source gets the signal with its sender; closing it restores the thread's mask."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    got: list[lr.SignalInfo] = []
    with lr.Loop() as loop, loop.add_signals({signal.SIGUSR1}, lambda s: (got.append(s), loop.stop())):
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # the test runner has other threads
        loop.run()
    assert got == [signal.SIGUSR1]
    assert got[0].pid == os.getpid()
    assert not got[0].from_terminal
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == former


def test_a_closed_descriptor_is_forgotten() -> None:
    """close() can be called twice; the number is not closed a second time when it is another's."""
    read, write = os.pipe()
    owner = OwnedFd(read)
    owner.close()
    again = os.dup(write)
    assert again == read
    owner.close()
    os.fstat(again)
    os.close(again)
    os.close(write)


def test_a_forked_child_leaves_the_loop_alone() -> None:
    """After os.fork() the child's copy of the loop is closed, and the parent's works on."""
    with lr.Loop() as loop:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if loop.closed else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        loop.call_soon(loop.stop)
        loop.run()
