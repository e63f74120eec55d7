"""Two hundred calls, ten minutes without a server, half a GiB for the process: nobody is killed for it, all is accounted for.

On the jumping clock; the emulator and the speakers are in the same process, so the daemon's own share is smaller. Run
it as `python -m tests.bench.outage [CALLS] [SECONDS]`; its exit code is 1 where the process took more than 512 MiB.
"""

from __future__ import annotations

import resource
import sys
import time

import trio

from supervisor.config import Config, IntakeConfig, LimitsConfig
from supervisor.core.pool import Pool
from supervisor.core.settings import BufferSettings, FleetSettings, RetrySettings, Settings
from supervisor.emulator.faults import Refuse, Reset
from supervisor.emulator.plan import Plan
from supervisor.events import CallEnded
from tests.bench.hour import Ends
from tests.daemon.hosting import House, host
from tests.simulation import WIDE, speaker

LIMIT = 512 * 2**20  # bytes of the process
BEFORE, AFTER = 20.0, 30.0  # seconds with a server


def run(calls: int, outage: float) -> tuple[House, int]:
    """The daemon afterwards, and the most that its audio took."""
    most = 0
    probe = FleetSettings().probe
    plan = Plan([*[Reset(time=BEFORE)] * calls, *[Refuse(status=503)] * round(outage / probe)])

    async def body(house: House) -> None:
        nonlocal most
        for number in range(calls):
            house.place(f"call-{number}", source=speaker(BEFORE + outage + AFTER, WIDE, salt=number))
        while house.daemon.these.calls or trio.current_time() < BEFORE:
            await trio.sleep(1)
            most = max(most, house.daemon.world.pool.used)

    settings = Settings(
        retry=RetrySettings(give_up_after=3600.0), buffer=BufferSettings(seconds=900.0, total=LIMIT // 2)
    )
    pbx = IntakeConfig("pbx", "audiosocket", "127.0.0.1:9092")
    config = Config(intakes=(pbx,), limits=LimitsConfig(max_calls=calls), settings=settings)
    return host(body, plan, config=config, sink=Ends(), pool=Pool(LIMIT // 2)), most


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    outage = float(sys.argv[2]) if len(sys.argv) > 2 else 600.0
    began = time.monotonic()
    house, most = run(calls, outage)
    ended = house.of(CallEnded)
    heard, acknowledged, lost = (
        sum(getattr(event.audio, f"{name}_frames") for event in ended) for name in ("heard", "acknowledged", "lost")
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{len(ended)} calls, {outage:g} s without a server, in {time.monotonic() - began:.0f} s")
    print(f"heard {heard} = acknowledged {acknowledged} + lost {lost} frames: {heard == acknowledged + lost}")
    print(f"audio at most {most / 2**20:.0f} MiB of {LIMIT / 2**21:.0f}; the process at most {peak / 2**20:.0f} MiB of {LIMIT / 2**20:.0f}")
    sys.exit(0 if heard == acknowledged + lost and peak < LIMIT and len(ended) == calls else 1)


if __name__ == "__main__":
    main()
