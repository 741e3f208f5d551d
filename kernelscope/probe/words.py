"""Words of questions and of probes: stems, words that say nothing, words that mean the same."""

from __future__ import annotations

import re
from functools import lru_cache

_SAYS_NOTHING = (
    "a about again all always also am an and any anybody anyone are as at be because been being "
    "but by can cannot computer could did do does doing done down each even every everything "
    "few find for forever from get gets getting give given go goes going got happen happens has "
    "have having here how i if in inside into is it its itself just know let like lot lots "
    "machine made make makes many may me mine minute minutes more most much my need not now of "
    "off often on once one only or other our out over own per please really right same say see "
    "seem seems she should show so some somebody someone something sometimes still such system "
    "take takes tell than that the their them then there these they thing things this those "
    "through time to too under until up us using very want wants was we were what when where "
    "whether which while who whom whose why will with without would you your "
)
_IGNORED = frozenset(_SAYS_NOTHING.split())
# Forms that the endings below do not bring together.
_FORMS = {
    "uses": "use", "used": "use", "usage": "use", "written": "write", "wrote": "write",
    "lost": "loss", "lose": "loss", "losing": "loss", "slept": "sleep", "ran": "run",
    "runnable": "run", "died": "die", "dying": "die", "dead": "die", "death": "die", "held": "hold",
    "sent": "send", "grew": "grow", "growth": "grow", "began": "begin", "took": "take",
    "latencies": "latency", "slower": "slow", "slowly": "slow", "slowness": "slow",
    "retransmission": "retransmit", "retransmissions": "retransmit", "allocation": "allocate",
    "allocations": "allocate", "allocator": "allocate", "connection": "connect",
    "connections": "connect", "frequency": "frequency", "mutexes": "mutex", "woke": "wake",
    "wakes": "wake", "woken": "wake", "wakeup": "wake", "stuck": "stick", "busier": "busy",
    "caches": "cache", "cached": "cache", "processes": "process", "processor": "cpu",
    "processors": "cpu", "cpus": "cpu", "interruption": "interrupt", "i/os": "i/o", "io": "i/o",
    "ios": "i/o", "wi-fi": "wifi", "fsyncs": "fsync", "logged": "login", "logs": "log",
    "deletion": "delete", "deletes": "delete", "uploads": "upload", "suspicious": "suspect",
    "crashes": "crash", "throttled": "throttle", "throttling": "throttle",
}  # fmt: skip
# Each line: words that are synonyms in a question.
_SAME = (
    "disk storage block drive ssd nvme hdd i/o sda sdb raid device",
    "slow latency delay lag sluggish long duration crawl stutter second",
    "stall hang freeze hung stick block stop",
    "network net internet ethernet wifi lan nic interface eth0",
    "tcp socket connect",
    "traffic bandwidth throughput bytes download upload",
    "memory ram",
    "heap allocate malloc",
    "cpu core cycle",
    "process program command application app service daemon task binary executable tool script",
    "start launch exec execute run spawn invoke",
    "signal sigkill sigterm",
    "kill terminate die",
    "exit end die crash segfault segmentation",
    "lock mutex futex contention contend deadlock semaphore monitor",
    "delete remove unlink rm vanish disappear",
    "dns resolve resolver hostname lookup getaddrinfo",
    "error fail failure errno",
    "privilege capability root sudo",
    "permission permit allow",
    "listen port bind occupy",
    "cache hit miss",
    "busy use load hot consume eat hammer burn saturation",
    "wait sleep idle",
    "function call symbol method libc library",
    "syscall strace",
    "thread pthread",
    "fault page",
    "flush fsync sync commit durability",
    "interrupt irq",
    "ssl tls https openssl encrypt",
    "garbage gc collector",
    "create new make",
    "drop loss lose discard vanish",
    "retransmit resend twice",
    "connect outgoing client contact remote",
    "accept incoming inbound",
    "module driver kmod insmod",
    "debug ptrace gdb attach",
    "leak grow increase outstanding",
    "big large size small",
    "container docker podman kubernetes pod lxc",
    "login ssh logon",
    "malware virus hack intrusion attack intruder suspect",
    "root admin administrator",
    "file path folder directory document",
    "full space fill",
    "histogram distribution",
    "percent usage",
    "database postgres postgresql mysql mysqld mariadb sqlite",
    "server nginx apache webserver",
    "child fork",
    "python script",
    "queue backlog",
    "packet segment datagram",
    "write touch modify change",
    "open touch access",
    "module load insert",
    "suspect odd strange unexpected unusual unknown",
    "often times number count",
    "network address host remote",
    "frequency clock speed mhz ghz",
    "throttle limit quota",
)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, "i/o" as one."""
    return re.findall(r"[a-z0-9]+(?:/[a-z0-9]+)*", text.lower())


def is_ignored(word: str) -> bool:
    """Whether a word says nothing about what is asked."""
    return word in _IGNORED


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words, without those that say nothing."""
    return frozenset(stem(word) for word in words(text) if word not in _IGNORED)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Return what a word's forms have in common, roughly: opens, opened, opening -> open."""
    word = _FORMS.get(word, word)
    for ending in ("iest", "ies", "ing", "est", "ed", "es", "er", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


@lru_cache(maxsize=8192)
def synonyms(word: str) -> frozenset[str]:
    """Return the stems that may stand for a stem."""
    return frozenset().union(*(group for group in _groups() if word in group)) - {word}


@lru_cache(maxsize=1)
def _groups() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(map(stem, line.split())) for line in _SAME)
