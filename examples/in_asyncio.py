"""Run commands inside asyncio, beside asyncio's own children."""

import asyncio

import lowrun as lr


async def main() -> None:
    """Two runs of lowrun's and one child of asyncio's, all at a time."""
    child = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
    first, second, code = await asyncio.gather(
        lr.aio.run(["sh", "-c", "exit 3"], quiet=True),
        lr.aio.run(["sleep", "60"], timeout=0.2, quiet=True),
        child.wait(),
    )
    print("first:", first.status)
    print("second timed out:", second.timed_out)
    print("asyncio's child:", code)


asyncio.run(main())
