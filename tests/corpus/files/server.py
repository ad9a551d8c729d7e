"""A server, its clients and a child in one event loop."""

import asyncio
import socket


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def ask(path: str, words: int) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    for word in range(words):
        writer.write(b"word %d\n" % word)
        await reader.readline()
    writer.close()


class Echo(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: object) -> None:
        self.got.set_result(data)


async def main() -> None:
    server = await asyncio.start_unix_server(serve, "socket")
    async with server:
        for words in (3, 5, 8):
            await ask("socket", words)
    loop = asyncio.get_running_loop()
    transport, echo = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    transport.sendto(b"hello", transport.get_extra_info("sockname"))
    print(await echo.got)
    transport.close()
    child = await asyncio.create_subprocess_exec("head", "-2", "text", stdout=asyncio.subprocess.PIPE)
    print(await child.communicate())
    await asyncio.sleep(0.02)


asyncio.run(main())
