"""What `bpf_trace_printk` prints, as records: `struct ks_printk_t` of agent/source/printk.py."""

from __future__ import annotations

import re

TABLE = "ks_printk"
CONVERSION = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?(?:hh|ll|[hlzjt])?([diuxXpsc%])")
