"""Kills the agent, a run's process or the client at random moments, and measures the detaching.

Each kill draws a victim, a signal and a phase. The time runs from the signal until no process of
ours is left that it should have ended, and the program's map, whose name is unique, is gone: a
program keeps its maps, so nothing is attached any more.

    script/test-kills [KILLS] [--seed N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from integration.support.notebook_kernel import alive, children, maps

from kernelscope.protocol.program import Hook, Program

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("kill_worker.py")
PHASES = ("compile", "load", "attach", "drain", "naming")
VICTIMS = ("agent", "run", "client")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
BOUND_S = 1.0
_PATIENCE_S = 10.0
_LONG_TO_LOAD = """
    u64 sum = 0;
    #pragma clang loop unroll(disable)
    for (u32 i = 0; i < 60000; i++) { sum += i ^ (sum >> 3); asm volatile("" : "+r"(sum)); }
    if (sum == 3) return 0;"""
_SOURCE = """
BPF_HASH({table}, u32);
BPF_STACK_TRACE(stacks, 16384);
struct record_t {{ u64 number; s32 pid; s32 user_stack; }};
BPF_RINGBUF_OUTPUT(records, 64);
int on_event(struct pt_regs *ctx) {{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct record_t record = {{.pid = pid}};
    {slow}
    {table}.increment(pid);
    record.user_stack = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    records.ringbuf_output(&record, sizeof(record), 0);
    return 0;
}}
int on_sample(struct bpf_perf_event_data *ctx) {{
    struct record_t record = {{.pid = bpf_get_current_pid_tgid() >> 32}};
    record.user_stack = stacks.get_stackid(&ctx->regs, BPF_F_USER_STACK);
    records.ringbuf_output(&record, sizeof(record), 0);
    return 0;
}}
/* {unique} */"""
_HOOKS = (
    *(Hook("on_event", (f"uprobe:c:{name}",)) for name in ("getppid", "getpgid", "getsid")),
    Hook("on_event", ("uretprobe:c:getppid",)),
    Hook("on_sample", ("profile:hz:199",)),
)


@dataclass
class Kill:
    """One kill and what came of it. seconds: until nothing was left; None if something stayed."""

    victim: str
    signal: str
    phase: str
    seconds: float | None


class Client:
    """A process that traces as a notebook does; commands go to its stdin."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.agent = 0

    def send(self, command: str, **values: Any) -> None:
        assert self.process.stdin is not None
        print(json.dumps({"command": command, **values}), file=self.process.stdin, flush=True)

    def wait_for(self, *events: str) -> str:
        """Read what the client reports until it is one of the events, or it has ended."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            data = json.loads(line)
            if data["event"] == "requested":
                self.agent = data["agent"]
            if data["event"] in events:
                return str(data["event"])
        return ""

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Durations:
    """How long runs took from the request to "attached", by phase: the range of the moments."""

    def __init__(self) -> None:
        self._latest = dict.fromkeys(PHASES, 0.3)

    def add(self, phase: str, seconds: float) -> None:
        self._latest[phase] += (seconds - self._latest[phase]) / 4

    def moment(self, phase: str, draw: random.Random) -> float:
        return draw.uniform(0.0, 1.2 * self._latest[phase])


class Round:
    """One kill, from the request to the end of everything that it started."""

    def __init__(
        self, client: Client, phase: str, number: int, draw: random.Random, took: Durations
    ) -> None:
        self.client = client
        self.phase = phase
        self.took = took
        self.draw = draw
        self.table = f"k{os.getpid() % 10**5}_{number % 7 if phase != 'compile' else number}"
        self.run: list[int] = []

    def program(self) -> Program:
        slow = _LONG_TO_LOAD if self.phase == "load" else ""
        unique = str(time.time_ns()) if self.phase == "compile" else self.phase
        source = _SOURCE.format(table=self.table, slow=slow, unique=unique)
        return Program("kills", source, hooks=_HOOKS, duration_ns=60 * 10**9)

    def reach(self) -> None:
        """Come to a random moment of the phase."""
        before = set(children(self.client.agent)) if self.client.agent else set()
        self.client.send("run", program=self.program().to_json())
        self.client.wait_for("requested")
        _wait(lambda: bool(set(children(self.client.agent)) - before))
        self.run = sorted(set(children(self.client.agent)) - before)
        if self.phase in ("compile", "load", "attach"):
            time.sleep(self.took.moment(self.phase, self.draw))
            return
        began = time.monotonic()
        self.client.wait_for("attached", "ended")
        self.took.add("attach", time.monotonic() - began)
        time.sleep(self.draw.uniform(0.0, 0.2))
        if self.phase == "naming":
            self.client.send("stop")
            time.sleep(self.draw.uniform(0.0, 0.1))

    def kill(self, victim: str, number: signal.Signals) -> float | None:
        """Send the signal; return how long it took until nothing was left."""
        started = [each for run in self.run for each in (run, *children(run))]
        victims = {"agent": [self.client.agent], "client": [self.client.process.pid]}
        gone = started if victim == "run" else [self.client.agent, *started]
        for pid in victims.get(victim, self.run):
            if alive(pid):
                os.kill(pid, number)
        began = time.monotonic()
        if _wait(lambda: not any(map(alive, gone)) and self.table not in maps()):
            return time.monotonic() - began
        return None


def _wait(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def kills(count: int, seed: int) -> list[Kill]:
    """Make that many kills and return them."""
    draw = random.Random(seed)
    found: list[Kill] = []
    client, took = Client(), Durations()
    for number in range(count):
        victim, phase, which = draw.choice(VICTIMS), draw.choice(PHASES), draw.choice(SIGNALS)
        one = Round(client, phase, number, draw, took)
        one.reach()
        found.append(Kill(victim, which.name, phase, one.kill(victim, which)))
        if victim == "client":
            client.end()
            client = Client()
        else:
            client.wait_for("ended")
        if number % 100 == 99:
            print(f"{number + 1} kills", file=sys.stderr, flush=True)
    client.end()
    return found


def table(found: list[Kill]) -> str:
    """Return the figures, by victim and phase, by signal, and in all."""
    groups: dict[str, list[Kill]] = defaultdict(list)
    for kill in found:
        groups[f"{kill.victim}, {kill.phase}"].append(kill)
    for kill in found:
        groups[kill.signal].append(kill)
    groups["all"] = found
    lines = [f"{'':<18} {'kills':>6} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'left':>5}"]
    for name, own in groups.items():
        times = sorted(1000 * kill.seconds for kill in own if kill.seconds is not None)
        middle = statistics.median(times) if times else float("nan")
        high = times[max(0, -(-99 * len(times) // 100) - 1)] if times else float("nan")
        most = times[-1] if times else float("nan")
        left = sum(kill.seconds is None for kill in own)
        lines.append(f"{name:<18} {len(own):>6} {middle:>8.1f} {high:>8.1f} {most:>8.1f} {left:>5}")
    return "\n".join(lines)


def main() -> int:
    """Make the kills and print the figures; fail if anything stayed for longer than the bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kills", type=int, nargs="?", default=1009)
    parser.add_argument("--seed", type=int, default=7919)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = kills(options.kills, options.seed)
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps([asdict(kill) for kill in found], indent=1) + "\n")
    late = [kill for kill in found if kill.seconds is None or kill.seconds > BOUND_S]
    for kill in late:
        print(f"LATE: {kill}", file=sys.stderr)
    return int(bool(late))


if __name__ == "__main__":
    sys.exit(main())
