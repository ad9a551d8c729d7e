"""Keep a program running: it is started again when it fails, up to three times in a row."""

import logging

import lowrun as lr

# What is told here by print is a warning, too, where nothing else is set up.
logging.getLogger("lowrun.supervise").setLevel(logging.ERROR)


def changed(program: lr.supervise.Supervised) -> None:
    """Tell how each life ended."""
    if program.phase in (lr.supervise.Phase.WAITING, lr.supervise.Phase.DONE):
        print(program.name, "life", program.restarts + 1, "ended:", program.last.text)


with lr.Loop() as loop:
    supervisor = lr.Supervisor(
        loop,
        ["sh", "-c", "exit 3"],
        name="flaky",
        restart=lr.Restart(limit=3, delay=0.01, backoff=1.0),
        on_change=changed,
        on_end=lambda _supervisor: loop.stop(),
    )
    loop.run()
    print("given up:", supervisor.program.reason)
