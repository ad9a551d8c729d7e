"""lowrun's loop inside another one: when `loop.fileno()` polls readable, call `loop.dispatch()`.

Here the other one is `selectors`; a toolkit's or a game's works the same way.
"""

import selectors

import lowrun as lr

with selectors.DefaultSelector() as host, lr.Loop() as loop:
    host.register(loop, selectors.EVENT_READ)
    repeater = lr.Repeater(["sh", "-c", "exit 2"], count=3, on_result=lambda result: print(result.index, result.status))
    ticks = []
    with repeater, loop.add_timer(after=0.01, callback=lambda: ticks.append("tick")):
        repeater.start(loop)
        while not (repeater.ended and ticks):
            host.select()
            loop.dispatch()
    print("code:", repeater.summary.exit_code, "and", *ticks)
