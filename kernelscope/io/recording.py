"""A run's frames in a file, which can be replayed anywhere through the same decoding.

The format, version 1, all numbers little-endian:

    KernelScope recording 1\\n               the magic line
    block, block, ...                       the first holds the recording's header

    block   u32 stored     bytes of the body in the file
            u32 check      CRC-32 of those bytes
            u32 packing    0: the body is plain; 1: zlib
            body           a line of JSON, then raw bytes: a frame as it crosses the boundary to the
                           agent (protocol.py), or, in the first block, the header's line alone

A recording is only appended to, so one that was cut off is whole up to there. It has data and no
code: nothing in it is executed.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from kernelscope.errors import AgentRefusedError, LostEventsWarning, RecordingError
from kernelscope.io import private_files
from kernelscope.protocol.frames import MAX_LINE, MAX_PAYLOAD, Frame, decode_header, encode_header

VERSION = 1
SUFFIX = ".ksr"
_NAME = b"KernelScope recording "
_MAGIC = _NAME + b"%d\n" % VERSION
_BLOCK = struct.Struct("<III")
_PLAIN, _ZLIB = 0, 1
_LAST = ("receipt", "error", "end")  # one of these is in every recording of a run that ended
_LARGEST = MAX_LINE + MAX_PAYLOAD
# Unpacked, a recording may be this many times its size, and a fixed amount: a few bytes of zlib
# could otherwise fill the memory. Recorded runs shrink to a fifth, arrays of zeros to a fiftieth.
_GROWTH, _ALLOWANCE = 100, 64 << 20

PathLike = str | os.PathLike[str]


class Recorder:
    """Writes a recording; a context manager.

    header: plain JSON values that describe the run. compress: make the file smaller, at a cost in
    time during the run. Raises RecordingError where the file cannot be written.
    """

    def __init__(
        self, path: PathLike, header: Mapping[str, Any], *, compress: bool = False
    ) -> None:
        self.path = Path(path)
        self.compress = compress
        try:
            self._file: IO[bytes] = private_files.create(self.path)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._write(_MAGIC)
            self._block(encode_header(header))
            self._file.flush()  # a full disk is reported before the run starts
        except (OSError, RecordingError) as error:
            with suppress(OSError):
                self._file.close()
            raise (self._failed(error) if isinstance(error, OSError) else error) from None

    def add(self, frame: Frame) -> None:
        """Add one frame."""
        self._block(encode_header(frame.header, len(frame.payload)) + bytes(frame.payload))

    def close(self) -> None:
        """Finish the file."""
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _block(self, body: bytes) -> None:
        packing = _PLAIN
        if self.compress:
            packed = zlib.compress(body, 6)
            if len(packed) < len(body):
                body, packing = packed, _ZLIB
        self._write(_BLOCK.pack(len(body), zlib.crc32(body), packing) + body)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> RecordingError:
        return RecordingError(
            f"cannot write the recording {self.path}: {error.strerror}",
            hint="choose a directory with room that you may write to",
            path=str(self.path),
        )


def read_header(path: PathLike) -> dict[str, Any]:
    """Return a recording's header. Raises RecordingError."""
    with _opened(path) as file:
        return _first(file, path)


def replay(path: PathLike, check: Callable[[Frame], None] | None = None) -> Iterator[Frame]:
    """Yield a recording's frames, with the headers and payloads that were recorded.

    check: raises ValueError for a frame that no agent sends; anybody can write a recording.

    Where the file is cut off or damaged, the frames before that are yielded and a LostEventsWarning
    has the place. Raises RecordingError where it is no recording, has no whole frame, or where a
    frame does not pass the check.
    """
    with _opened(path) as file:
        _first(file, path)
        began = ended = False
        unpacked = 0
        while True:
            offset = file.tell()
            try:
                body = _body(file, _room(file, unpacked))
                if body is None and not ended:
                    raise _DamageError("the run's end is not in it")
                if body is None:
                    return
                frame = _frame(body)
            except (_DamageError, AgentRefusedError) as damage:
                if not began:
                    raise _nothing_whole(path, damage, offset) from None
                warnings.warn(
                    f"{path} is whole only up to byte {offset}: {damage}; what comes after is lost",
                    LostEventsWarning,
                    stacklevel=2,
                )
                return
            unpacked += len(body)
            if check is not None:
                _checked(frame, check, path, offset)
            began, ended = True, ended or frame.type in _LAST
            yield frame


def _room(file: IO[bytes], unpacked: int) -> int:
    """Return how many bytes the next block may have when it is unpacked."""
    return max(0, min(_LARGEST, _GROWTH * _size(file) + _ALLOWANCE - unpacked))


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _checked(frame: Frame, check: Callable[[Frame], None], path: PathLike, offset: int) -> None:
    try:
        check(frame)
    except ValueError as error:
        raise RecordingError(
            f"{path}: the {frame.type or 'frame'} at byte {offset} is not valid: {error}",
            hint="record the run again; this file was not written by KernelScope, or was changed",
            path=str(path),
            offset=offset,
        ) from None


class _DamageError(Exception):
    """A block is not whole."""


def _opened(path: PathLike) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise RecordingError(
            f"cannot open the recording {path}: {error.strerror}",
            hint="check the path",
            path=str(path),
        ) from error


def _first(file: IO[bytes], path: PathLike) -> dict[str, Any]:
    """Read the magic line and the header."""
    magic = file.read(len(_MAGIC))
    if magic != _MAGIC:
        known = magic.startswith(_NAME)
        raise RecordingError(
            f"{path} is not a recording that this version reads"
            if known
            else f"{path} is not a KernelScope recording",
            hint="upgrade KernelScope to read it" if known else "make one with --record FILE",
            path=str(path),
            offset=0,
        )
    try:
        body = _body(file, _LARGEST)
        if body is None:
            raise _DamageError("it ends before its header")
        return _frame(body).header
    except (_DamageError, AgentRefusedError) as damage:
        raise _nothing_whole(path, damage, len(_MAGIC)) from None


def _nothing_whole(path: PathLike, damage: Exception, offset: int) -> RecordingError:
    return RecordingError(
        f"nothing in the recording {path} is whole: {damage}",
        hint="record the run again",
        path=str(path),
        offset=offset,
    )


def _body(file: IO[bytes], most: int) -> bytes | None:
    """Read one block, at most `most` bytes when unpacked; None at the end of the file."""
    head = file.read(_BLOCK.size)
    if not head:
        return None
    if len(head) < _BLOCK.size:
        raise _DamageError("a block's head is cut off")
    stored, check, packing = _BLOCK.unpack(head)
    if stored > _LARGEST or packing not in (_PLAIN, _ZLIB):
        raise _DamageError("a block's head makes no sense")
    body = file.read(min(stored, _size(file)))
    if len(body) < stored:
        raise _DamageError("a block is cut off")
    if zlib.crc32(body) != check:
        raise _DamageError("a block's checksum does not match")
    return _unpacked(body, most) if packing == _ZLIB else body


def _unpacked(body: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise _DamageError(f"a block cannot be unpacked ({error})") from None
    if not unpacker.eof or len(plain) > most:
        raise _DamageError("a block unpacks to more than a recording of this size can hold")
    return plain


def _frame(body: bytes) -> Frame:
    end = body.find(b"\n")
    if end < 0:
        raise _DamageError("a block has no header line")
    header, size = decode_header(body[:end])
    payload = memoryview(body)[end + 1 :]
    if len(payload) != size:
        raise _DamageError("a block's size does not match its header")
    return Frame(header, payload)
