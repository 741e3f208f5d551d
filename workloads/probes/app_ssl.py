"""Known loads of OpenSSL: two ends in one process, with no certificate and no network."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

from workloads.probes.common import take_name

SSL = ctypes.CDLL(ctypes.util.find_library("ssl"))
CRYPTO = ctypes.CDLL(ctypes.util.find_library("crypto"))
POINTER = ctypes.c_void_p
MESSAGES = 37
# A cipher that needs no certificate; TLS 1.3 has none such.
ANONYMOUS = b"AECDH-AES128-SHA:@SECLEVEL=0"
SET_MAX_PROTOCOL, TLS_1_2 = 124, 0x0303  # include/openssl/ssl.h, tls1.h

for _name in ("TLS_method", "SSL_CTX_new", "SSL_new"):
    getattr(SSL, _name).restype = POINTER


def tls_messages() -> dict[str, Any]:
    """37 messages from one end to the other, in turns by the plain and the _ex functions."""
    take_name("talker")
    client, server = _ends()
    buffer = ctypes.create_string_buffer(16384)
    moved = ctypes.c_size_t()
    sizes = []
    for number in range(MESSAGES):
        text = f"secret {number:02} ".encode() + b"x" * (101 * number)
        if number % 2:
            SSL.SSL_write_ex(client, text, ctypes.c_size_t(len(text)), ctypes.byref(moved))
            SSL.SSL_read_ex(server, buffer, ctypes.c_size_t(len(buffer)), ctypes.byref(moved))
            sizes.append(moved.value)
        else:
            SSL.SSL_write(client, text, len(text))
            sizes.append(SSL.SSL_read(server, buffer, len(buffer)))
    SSL.SSL_read(server, buffer, len(buffer))  # nothing is there
    return {"sizes": sizes, "connections": [hex(client.value or 0), hex(server.value or 0)]}


def _ends() -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
    """Return both ends of a connection after its handshake."""
    context = POINTER(SSL.SSL_CTX_new(POINTER(SSL.TLS_method())))
    SSL.SSL_CTX_ctrl(context, SET_MAX_PROTOCOL, ctypes.c_long(TLS_1_2), None)
    assert SSL.SSL_CTX_set_cipher_list(context, ANONYMOUS) == 1
    client, server = POINTER(SSL.SSL_new(context)), POINTER(SSL.SSL_new(context))
    here, there = POINTER(), POINTER()
    size = ctypes.c_size_t(1 << 17)
    CRYPTO.BIO_new_bio_pair(ctypes.byref(here), size, ctypes.byref(there), size)
    SSL.SSL_set_bio(client, here, here)
    SSL.SSL_set_bio(server, there, there)
    SSL.SSL_set_connect_state(client)
    SSL.SSL_set_accept_state(server)
    for _ in range(8):
        done = [SSL.SSL_do_handshake(end) for end in (client, server)]
        if done == [1, 1]:
            return client, server
    raise SystemExit(f"the handshake did not end: {done}")
