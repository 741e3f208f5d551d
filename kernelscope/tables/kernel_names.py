"""The kernel's names of its errors and signals, the same on any system that reads a recording.

Sources: include/uapi/asm-generic/errno-base.h, errno.h and signal.h, include/linux/errno.h. They
are those of x86, Arm, RISC-V, s390 and PowerPC (but for its EDEADLOCK); MIPS, Alpha, PA-RISC and
SPARC have others.
"""

from __future__ import annotations

_ERRORS = (
    "PERM NOENT SRCH INTR IO NXIO 2BIG NOEXEC BADF CHILD AGAIN NOMEM ACCES FAULT NOTBLK BUSY EXIST"
    " XDEV NODEV NOTDIR ISDIR INVAL NFILE MFILE NOTTY TXTBSY FBIG NOSPC SPIPE ROFS MLINK PIPE DOM"
    " RANGE DEADLK NAMETOOLONG NOLCK NOSYS NOTEMPTY LOOP - NOMSG IDRM CHRNG L2NSYNC L3HLT L3RST"
    " LNRNG UNATCH NOCSI L2HLT BADE BADR XFULL NOANO BADRQC BADSLT - BFONT NOSTR NODATA TIME NOSR"
    " NONET NOPKG REMOTE NOLINK ADV SRMNT COMM PROTO MULTIHOP DOTDOT BADMSG OVERFLOW NOTUNIQ BADFD"
    " REMCHG LIBACC LIBBAD LIBSCN LIBMAX LIBEXEC ILSEQ RESTART STRPIPE USERS NOTSOCK DESTADDRREQ"
    " MSGSIZE PROTOTYPE NOPROTOOPT PROTONOSUPPORT SOCKTNOSUPPORT OPNOTSUPP PFNOSUPPORT AFNOSUPPORT"
    " ADDRINUSE ADDRNOTAVAIL NETDOWN NETUNREACH NETRESET CONNABORTED CONNRESET NOBUFS ISCONN"
    " NOTCONN SHUTDOWN TOOMANYREFS TIMEDOUT CONNREFUSED HOSTDOWN HOSTUNREACH ALREADY INPROGRESS"
    " STALE UCLEAN NOTNAM NAVAIL ISNAM REMOTEIO DQUOT NOMEDIUM MEDIUMTYPE CANCELED NOKEY"
    " KEYEXPIRED KEYREVOKED KEYREJECTED OWNERDEAD NOTRECOVERABLE RFKILL HWPOISON FTYPE"
)
_SIGNALS = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP"
    " TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)

# By number, from 1.
ERRORS = {at: f"E{name}" for at, name in enumerate(_ERRORS.split(), 1) if name != "-"}
# Returned by system calls inside the kernel only.
ERRORS |= {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
    517: "EPROBE_DEFER",
    524: "ENOTSUPP",
    529: "EIOCBQUEUED",
}
SIGNALS = {at: f"SIG{name}" for at, name in enumerate(_SIGNALS.split(), 1)}
_LAST_ERROR = 4095
_REAL_TIME_SIGNALS = 34  # glibc's SIGRTMIN


def error(number: int) -> str:
    """Return the name of a negative error number; "" for any other number."""
    if not -_LAST_ERROR <= number < 0:
        return ""
    return ERRORS.get(-number, str(number))


def signal(number: int) -> str:
    """Return a signal's name, "" for 0."""
    if number >= _REAL_TIME_SIGNALS:
        above = number - _REAL_TIME_SIGNALS
        return f"SIGRTMIN+{above}" if above else "SIGRTMIN"
    return SIGNALS.get(number, str(number) if number else "")
