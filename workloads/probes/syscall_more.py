"""Known loads for the probes of bpf/syscall that follow processes, threads and signals."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from typing import Any

from workloads.probes.common import take_name

C = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUTS = 0x04000000
X86 = os.uname().machine == "x86_64"
SYS_clone, SYS_futex = (56, 202) if X86 else (220, 98)


def threads_started() -> dict[str, Any]:
    """41 threads by pthread_create, as "ks-threads", which all run the C library's getppid."""
    take_name("ks-threads")
    routine = ctypes.cast(C.getppid, ctypes.c_void_p)
    thread = ctypes.c_ulong()
    for _ in range(41):
        C.pthread_create(ctypes.byref(thread), None, routine, None)
        C.pthread_join(thread, None)
    return {"routine": routine.value}


def slow_calls() -> dict[str, Any]:
    """As "ks-slow": 23 sleeps of 20 ms, 997 quick calls, 3 slow polls, a wait for a lock."""
    take_name("ks-slow")
    for _ in range(23):
        C.usleep(20_000)
    for _ in range(997):
        os.getppid()
    for _ in range(3):
        C.poll(None, 0, 21)
    lock, limit = ctypes.c_uint32(7), (ctypes.c_int64 * 2)(0, 20_000_000)
    C.syscall(SYS_futex, ctypes.byref(lock), 0, 7, limit, None, 0)
    return {"polled": 0, "limit": ctypes.addressof(limit)}


def processes_ended() -> dict[str, Any]:
    """29 children: each third is killed, by SIGKILL or SIGTERM, the others exit with a number."""
    ended = {}
    for number in range(29):
        child = os.fork()
        if child == 0:
            if number % 3 == 0:
                os.kill(os.getpid(), (signal.SIGKILL, signal.SIGTERM)[number % 2])
            os._exit(number % 7)
        _, status = os.waitpid(child, 0)
        ended[child] = status
    slept = os.fork()
    if slept == 0:
        worker = threading.Thread(target=time.sleep, args=(0.1,))
        worker.start()
        worker.join()
        os._exit(211)
    os.waitpid(slept, 0)
    return {"ended": ended, "slept": slept}


def tasks_made() -> dict[str, Any]:
    """19 forks, 3 vforks (posix_spawn), 7 threads and one process in a namespace of its own."""
    take_name("ks-forks")
    forked = [_forked() for _ in range(19)]
    spawned = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(3)]
    for child in spawned:
        os.waitpid(child, 0)
    threads = []
    for _ in range(7):
        thread = threading.Thread(target=time.sleep, args=(0.001,))
        thread.start()
        threads.append(thread.native_id)
        thread.join()
    apart = C.syscall(SYS_clone, CLONE_NEWUTS | signal.SIGCHLD, 0, 0, 0, 0)
    if apart == 0:
        os._exit(0)
    if apart > 0:
        os.waitpid(apart, 0)
    return {"forked": forked, "spawned": spawned, "threads": threads, "apart": apart}


def _forked() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def signals_sent() -> dict[str, Any]:
    """37 SIGUSR1 that a child receives, one after the other; 5 to a thread; an alarm; SIGPIPE."""
    child, answers = _receiver()
    received = 0
    for _ in range(37):
        os.kill(child, signal.SIGUSR1)
        received += len(os.read(answers, 1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    signal.signal(signal.SIGUSR2, lambda *_: None)
    for _ in range(5):
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.sigwait([signal.SIGALRM])
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(BrokenPipeError):
        os.write(writing, b"x")
    return {"child": child, "received": received}


def _receiver() -> tuple[int, int]:
    """Fork a child that answers each SIGUSR1 with a byte; it keeps those that come early."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            signal.sigwait([signal.SIGUSR1])
            os.write(writing, b"x")
    return child, reading


def locks_waited_for() -> dict[str, Any]:
    """43 waits of 2 ms for one lock, as "ks-lock-a", 5 as "ks-lock-b" for another; 11 no waits."""
    locks = [ctypes.c_uint32(7), ctypes.c_uint32(7)]
    limit = (ctypes.c_int64 * 2)(0, 2_000_000)
    for lock, name, times in zip(locks, ("ks-lock-a", "ks-lock-b"), (43, 5), strict=True):
        take_name(name)
        for _ in range(times):
            C.syscall(SYS_futex, ctypes.byref(lock), 0, 7, limit, None, 0)
    for _ in range(11):
        C.syscall(SYS_futex, ctypes.byref(locks[0]), 0, 8, limit, None, 0)
    return {"locks": [ctypes.addressof(lock) for lock in locks]}
