"""A lean server, in a process of its own: what it costs must not be in the figures.

It reads no audio, only counts it: an interim each second of it and a final each third, a pong for a ping, and the
polite end for CloseStream. It prints its port when it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import re
import ssl

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
WORDS = ["so", "it", "goes", "on", "and", "on", "until", "somebody", "says", "that", "it", "is", "enough"]


def frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x80 | opcode, size)) if size < 126 else bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    return head + payload


def results(start: float, duration: float, *, final: bool) -> bytes:
    count = int(duration * 2)
    words = [
        {
            "word": WORDS[number % len(WORDS)],
            "punctuated_word": WORDS[number % len(WORDS)],
            "start": start + number / 2,
            "end": start + number / 2 + 0.3,
            "confidence": 0.98,
        }
        for number in range(count)
    ]
    alternative = {"transcript": " ".join(str(word["word"]) for word in words), "confidence": 0.98, "words": words}
    message = {
        "type": "Results",
        "channel_index": [0, 1],
        "duration": duration,
        "start": start,
        "is_final": final,
        "speech_final": final,
        "channel": {"alternatives": [alternative]},
        "metadata": {"request_id": "bench", "model_info": {"name": "bench"}, "model_uuid": "bench"},
        "from_finalize": False,
    }
    return frame(1, json.dumps(message).encode())


class Peer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = bytearray()
        self.open = False
        self.audio = 0
        self.told = 0
        self.final = 0
        self.second = 0  # bytes of linear16 in a second

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open:
            self._upgrade()
        while self.open and self._frame():
            pass

    def _upgrade(self) -> None:
        head, found, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if not found:
            return
        rate = re.search(rb"[?&]sample_rate=(\d+)", head)
        self.second = 2 * int(rate[1]) if rate else 32_000
        key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"dg-request-id: bench\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.buffer = bytearray(rest)
        self.open = True

    def _frame(self) -> bool:
        """Take one frame from the buffer; false when there is no whole one."""
        buffer = self.buffer
        if len(buffer) < 2:
            return False
        size, head = buffer[1] & 0x7F, 2
        if size == 126:
            if len(buffer) < 4:
                return False
            size, head = int.from_bytes(buffer[2:4], "big"), 4
        end = head + 4 + size
        if len(buffer) < end:
            return False
        opcode = buffer[0] & 0x0F
        if opcode == 2:
            self.audio += size
            self._tell()
        elif opcode == 1:
            key = buffer[head : head + 4]
            text = bytes(byte ^ key[at % 4] for at, byte in enumerate(buffer[head + 4 : end]))
            if b"CloseStream" in text:
                self._end()
        elif opcode == 9:
            self.transport.write(frame(10, b""))
        elif opcode == 8:
            self.transport.close()
            self.open = False
        del buffer[:end]
        return True

    def _tell(self) -> None:
        while self.audio >= (self.told + 1) * self.second:
            self.told += 1
            final = self.told - self.final >= 3
            self.transport.write(results(float(self.final), float(self.told - self.final), final=final))
            if final:
                self.final = self.told

    def _end(self) -> None:
        seconds = self.audio / self.second
        metadata = {"type": "Metadata", "request_id": "bench", "duration": seconds, "channels": 1}
        self.transport.write(
            results(float(self.final), seconds - self.final, final=True)
            + frame(1, json.dumps(metadata).encode())
            + frame(8, (1000).to_bytes(2, "big"))
        )


async def serve(context: ssl.SSLContext | None) -> None:
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--certificate")
    certificate = arguments.parse_args().certificate
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    asyncio.run(serve(context))


if __name__ == "__main__":
    main()
