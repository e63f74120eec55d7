"""Runs the measurements, ours and the bare loop in turn, and prints medians and their ratio.

These are ratios, taken side by side in one run: the milliseconds are this machine's at this moment. It gates nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import trustme

from tests.bench.rehearsal import killed, steady

CLIENT = [sys.executable, "-m", "tests.bench.client"]
SERVER = [sys.executable, "-m", "tests.bench.server"]


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """A server's port, for as long as the context lasts."""
    with subprocess.Popen([*SERVER, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def cost(what: str, calls: int, seconds: float, url: str, ca: str = "") -> float:
    command = [*CLIENT, what, "--calls", str(calls), "--seconds", str(seconds), "--url", url, "--ca", ca]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout)


def service(calls: int, seconds: float, clear: str, secure: str, ca: str) -> None:
    """The daemon with calls from an Asterisk that is played; what is aimed at stands beside each figure."""
    print(f"\n{calls} calls over AudioSocket (8 kHz, frames of 20 ms), each part a process of its own")
    print(f"{'':>4} {'ms of CPU':>10} {'aim':>5} {'late p50':>9} {'late p99':>9} {'aim':>6} {'KiB a call':>11} {'aim':>5} {'lost':>6}")
    for name, url, authority, aim in (("ws", clear, "", 1.5), ("wss", secure, ca, 2.0)):
        found = steady(calls, seconds, url, authority)
        print(
            f"{name:>4} {found['ms']:>10.2f} {aim:>5} {found['late_p50']:>7.3f} s {found['late_p99']:>7.3f} s {'0.1':>6} "
            f"{found['kib']:>11.0f} {'200':>5} {found['lost']:>4.1f} s",
            flush=True,
        )
    found = killed(calls, 45.0, 5.0)
    print(f"\nthe server is killed with {calls} connections, and another one comes to its place after 5 s")
    print(
        f"{found['recovered']} of {found['calls']} recovered, the first frame {found['p50']:.1f} s (p50) and {found['p99']:.1f} s (p99; "
        f"aim: 10) after its return, at most {found['dials']} dials at once (aim: 16), {found['lost']:.1f} s lost, "
        f"{found['wrong']} transcripts that are not word for word, {found['torn_down']} callers hung up",
        flush=True,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(prog="make bench")
    arguments.add_argument("--service", type=int, default=200, help="calls over AudioSocket; 0 = leave it out")
    arguments.add_argument("--hour", type=int, default=0, help="calls of a simulated hour, which takes ten minutes for 50")
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--calls", type=int, nargs="+", default=[50, 200])
    args = arguments.parse_args()
    print("milliseconds of CPU per second of one call: 16 kHz linear16, 20 ms packets in, 100 ms frames out")
    print(f"medians of {args.rounds} rounds of {args.seconds:g} s; the ratio is the median of the rounds' own")
    print(f"{'calls':>6} {'ours, ws':>9} {'bare, ws':>9} {'ratio':>6} {'bare on our grid':>17} {'ratio':>6} {'ours, wss':>10}")
    with tempfile.TemporaryDirectory() as directory:
        ca, certificate = Path(directory, "ca.pem"), Path(directory, "server.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(ca)
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        with server() as port, server("--certificate", str(certificate)) as tls_port:
            clear, secure = f"ws://127.0.0.1:{port}/v1/listen", f"wss://localhost:{tls_port}/v1/listen"
            for calls in args.calls:
                rounds = [
                    (
                        cost("ours", calls, args.seconds, clear),
                        cost("bare", calls, args.seconds, clear),
                        cost("shared", calls, args.seconds, clear),
                        cost("ours", calls, args.seconds, secure, str(ca)),
                    )
                    for _ in range(args.rounds)
                ]
                mine, bare, shared, tls = (median(column) for column in zip(*rounds, strict=True))
                ratio = median(each[0] / each[1] for each in rounds)
                to_shared = median(each[0] / each[2] for each in rounds)
                print(
                    f"{calls:>6} {mine:>9.2f} {bare:>9.2f} {ratio:>6.2f} {shared:>17.2f} {to_shared:>6.2f} {tls:>10.2f}",
                    flush=True,
                )
            if args.service:
                service(args.service, args.seconds, clear, secure, str(ca))
    if args.hour:
        subprocess.run([sys.executable, "-m", "tests.bench.hour", str(args.hour), "3600"], check=True)


if __name__ == "__main__":
    main()
