"""A replacement for the kernel's headers, generated from BTF: lean for one program, or full.

The lean header contains only the types, members and macros that a program's text names. It has a
fiftieth of the full header's size, and compiles in a tenth of the time. Macros, which BTF does not
have, come from data/uapi-<arch>.json (numbers) and data/compat.h (the rest).
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kernelscope.agent.btf.c_writer import Emitter, literal
from kernelscope.agent.btf.types import (
    ARRAY,
    ENUMS,
    FWD,
    RECORDS,
    STRUCT,
    TYPEDEF,
    UNION,
    Btf,
)
from kernelscope.agent.source import declared_names
from kernelscope.agent.source.table_declarations import declared_tables
from kernelscope.protocol.c_tokens import Token, names, scan

DATA = Path(__file__).with_name("data")

# Types that BCC's helpers and most programs use.
_BASE_TYPES = (
    *("u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"),
    *("__u8", "__u16", "__u32", "__u64", "__s8", "__s16", "__s32", "__s64"),
    *("uint8_t", "uint16_t", "uint32_t", "uint64_t", "uintptr_t", "uint", "ulong", "ushort"),
    *("int8_t", "int16_t", "int32_t", "int64_t", "size_t", "ssize_t", "loff_t", "bool"),
    *("__be16", "__be32", "__be64", "__le16", "__le32", "__le64", "__sum16", "__wsum"),
    *("pid_t", "uid_t", "gid_t", "umode_t", "dev_t"),
)
_BASE_MACROS = ("roundup_pow_of_two", "NULL", "__user", "offsetof")
_BASE_ENUMERATORS = ("false", "BPF_ANY", "BPF_NOEXIST", "BPF_EXIST")
# Small types whose members BCC or programs use without naming them.
_WHOLE_TYPES = ("pt_regs", "__sk_buff", "xdp_md", "bpf_perf_event_data", "bpf_raw_tracepoint_args")
_HELPER_TYPES = ("bpf_stack_build_id", "bpf_cgroup_storage_key")
# Aliases in compat.h that are real members on some kernels.
_ALIASES_UNLESS = {"d_iname": ("dentry", "d_shortname")}
_ARCH_MACROS = re.compile(
    r"__NR_|(?:O|MAP|SA|SO|F|PTRACE|MADV|PROT)_|(?:E|SIG|TC|TIO|FIO)[A-Z0-9]+\Z"
)
_ABSENT_HELPER = 0x7FFFFFFF
# Programs only check whether an address is the kernel's, so the start of its half suffices.
_KERNEL_HALF = {"x86_64": 0xFFFF888000000000, "aarch64": 0xFFFF000000000000}


@dataclass
class Macros:
    """Every available macro or inline function: name -> its line."""

    lines: dict[str, str] = field(default_factory=dict)
    uses: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, arch: str | None = None) -> Macros:
        """Read the package's data files for this machine's architecture."""
        macros = cls()
        for name, value in _numbers(arch or platform.machine()).items():
            macros.lines[name] = f"#define {name} {literal(value)}\n"
        text = (DATA / "compat.h").read_text()
        for line in text.splitlines(keepends=True):
            match = re.match(r"#define (\w+)|static inline [^(]*\(\(\w+\)\) .*?(\w+)\(", line)
            if match:
                name = match.group(1) or match.group(2)
                macros.lines[name] = line
                macros.uses[name] = frozenset(names(scan(line.replace("#define", "")))) - {name}
        half = _KERNEL_HALF.get(arch or platform.machine(), _KERNEL_HALF["aarch64"])
        macros.lines["PAGE_OFFSET"] = f"#define PAGE_OFFSET 0x{half:x}UL\n"
        shift = os.sysconf("SC_PAGE_SIZE").bit_length() - 1
        macros.lines["PAGE_SHIFT"] = f"#define PAGE_SHIFT {shift}\n"
        macros.lines["PAGE_SIZE"] = f"#define PAGE_SIZE {1 << shift}UL\n"
        return macros


def _numbers(arch: str) -> dict[str, int]:
    own = DATA / f"uapi-{arch}.json"
    path = own if own.exists() else DATA / "uapi-x86_64.json"
    table: dict[str, int] = json.loads(path.read_text())
    if path is not own:  # without the numbers that differ between architectures
        table = {k: v for k, v in table.items() if not _ARCH_MACROS.match(k)}
    return table


@dataclass
class Helpers:
    """What BCC's helpers.h uses, so that the header defines it."""

    structs: frozenset[str] = frozenset()
    defines: dict[str, frozenset[str]] = field(default_factory=dict)
    constants: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Helpers:
        """Read the text of helpers.h."""
        tokens = scan(text)
        structs = {
            b.text for a, b in zip(tokens, tokens[1:]) if a.text == "struct" and b.kind == "name"
        }
        defines: dict[str, set[str]] = {}
        current: set[str] = set()
        for before, token in zip(tokens, tokens[1:]):
            if not token.directive or token.kind == "hash":
                current = set()
            elif before.text == "define" and token.kind == "name":
                current = defines.setdefault(token.text, set())
            elif token.kind == "name":
                current.add(token.text)
        return cls(
            frozenset(structs),
            {name: frozenset(used) for name, used in defines.items()},
            frozenset(
                n for n in names(tokens) - set(defines) if n.startswith(("BPF_F_", "BPF_FUNC_"))
            ),
        )


class HeaderMaker:
    """Generates headers for one kernel."""

    def __init__(self, btf: Btf, macros: Macros, helpers: Helpers) -> None:
        self.btf = btf
        self.macros = macros
        self.helpers = helpers
        self._config: dict[str, str] | None = None

    def lean(self, text: str, tracepoint_fields: str = "") -> str:
        """Return the header for one program: only what `text` names.

        tracepoint_fields: C declarations of the fields of its tracepoints, for which BCC
            generates structs.
        """
        tokens = scan(text)
        plan = _Plan(self, tokens, names(tokens) | names(scan(tracepoint_fields)))
        emitter = Emitter(
            self.btf, plan.members.__contains__, plan.own_tags, plan.own_names, plan.whole
        )
        emitter.define(plan.types)
        return "".join(
            [
                self._top(plan.wanted),
                *(f"struct {name};\n" for name in sorted(self.helpers.structs)),
                *emitter.out,
                *self._absent_helpers(),
                *plan.macro_lines(),
            ]
        )

    def full(self) -> str:
        """Return a header with every type and macro."""
        emitter = Emitter(self.btf, lambda _: True)
        everything = range(1, len(self.btf))
        # An anonymous struct is written where it is used; alone it would only cause a warning.
        emitter.define(
            i for i in everything if self.btf.name(i) or self.btf.type(i).kind not in RECORDS
        )
        known = self.btf.index.enumerators
        lines = [
            line
            for name, line in self.macros.lines.items()
            if name not in known and not self.is_real_member(name)
        ]
        macros = sorted(lines, key=lambda line: not line.startswith("#define"))
        config = self.config()
        return "".join([self._top(config), *emitter.out, *self._absent_helpers(), *macros])

    def undefined(self, text: str) -> str:
        """Return lines that remove the macros of the full header whose names `text` declares."""
        tokens = scan(text)
        own = declared_names.variables(tokens) | declared_names.types(tokens)
        return "".join(f"#undef {name}\n" for name in sorted(own & set(self.macros.lines)))

    def is_real_member(self, alias: str) -> bool:
        """Return whether an alias of compat.h is a real member on this kernel."""
        if alias not in _ALIASES_UNLESS:
            return False
        record, renamed = _ALIASES_UNLESS[alias]
        found = self.btf.find(record, STRUCT)
        return not any(m.name == renamed for i in found for m in self.btf.members(i))

    def config(self) -> dict[str, str]:
        """Return the kernel's configuration as macros."""
        if self._config is None:
            self._config = _kernel_config()
        return self._config

    def _top(self, wanted: Iterable[str]) -> str:
        config = {"CONFIG_BPF_SYSCALL": "1", "CONFIG_ARCH_HAS_SYSCALL_WRAPPER": "1"}
        asked = [name for name in wanted if name.startswith("CONFIG_")]
        if asked:
            config.update((name, self.config()[name]) for name in asked if name in self.config())
        lines = [f"#define {name} {value}\n" for name, value in sorted(config.items())]
        # BCC has an older uapi/linux/bpf.h; this kernel's own is in BTF.
        return "#define _UAPI__LINUX_BPF_H__\n" + version_macros() + "".join(lines)

    def _absent_helpers(self) -> list[str]:
        """Define the helpers that this kernel lacks, so that the verifier refuses their calls."""
        known = self.btf.index.enumerators
        return [
            f"#define {name} {_ABSENT_HELPER if name.startswith('BPF_FUNC_') else 0}\n"
            for name in sorted(self.helpers.constants)
            if name not in known and name not in self.macros.lines
        ]


class _Plan:
    """What one program's header must contain."""

    def __init__(self, maker: HeaderMaker, tokens: list[Token], wanted: set[str]) -> None:
        self.maker = maker
        self.wanted = wanted
        self._own_macros = declared_names.macros(tokens)
        self.own_tags = declared_names.tags(tokens)
        self.own_names = declared_names.types(tokens)
        self._variables = declared_names.variables(tokens) | set(declared_tables(tokens))
        self._used_macros = self._close_over_macros()
        self.members = self.wanted | self._whole_members()
        self.types = self._types(tokens)
        self.whole = self._stored_types(tokens)

    def macro_lines(self) -> list[str]:
        """Return the macros and inlines that are used, macros first."""
        lines = self.maker.macros.lines
        picked = [lines[name] for name in lines if name in self._used_macros]
        return sorted(picked, key=lambda line: not line.startswith("#define"))

    def _close_over_macros(self) -> set[str]:
        """Add what the used macros mention in turn, BCC's own macros included."""
        macros, helpers = self.maker.macros, self.maker.helpers
        enumerators = self.maker.btf.index.enumerators
        used: set[str] = set()
        queue = [*self.wanted, *_BASE_MACROS]
        seen: set[str] = set()
        while queue:
            name = queue.pop()
            if name in seen:
                continue
            seen.add(name)
            mentioned: set[str] = set()
            if name in helpers.defines:
                mentioned |= {
                    n
                    for n in helpers.defines[name]
                    if n in helpers.defines
                    or n in macros.lines
                    or (n in enumerators and n.isupper())
                }
            if self._wants_macro(name):
                used.add(name)
                mentioned |= macros.uses.get(name, frozenset())
            self.wanted |= mentioned
            queue.extend(mentioned)
        return used

    def _wants_macro(self, name: str) -> bool:
        return (
            name in self.maker.macros.lines
            and name not in self.maker.btf.index.enumerators
            and name not in self._own_macros | self.own_names | self._variables
            and not self.maker.is_real_member(name)
        )

    def _whole_members(self) -> set[str]:
        btf = self.maker.btf
        kinds = [i for n in (*_WHOLE_TYPES, *_HELPER_TYPES) for i in btf.find(n, STRUCT)]
        return {m.name for i in kinds for m in btf.members(i) if m.name}

    def _stored_types(self, tokens: list[Token]) -> set[int]:
        """Return the kernel's structs that the program stores, with those inside them."""
        btf = self.maker.btf
        found: set[int] = set()
        stored = declared_names.stored_types(tokens) - self.own_tags - self.own_names
        queue = [i for name in stored for i in btf.find(name, STRUCT, TYPEDEF)]
        while queue:
            number = btf.unqualified(queue.pop())
            record = btf.type(number)
            if record.kind == ARRAY:
                queue.append(btf.array(number)[0])
            elif record.kind == STRUCT and number not in found:
                found.add(number)
                for member in btf.members(number):
                    queue.append(member.type)
                    inner = btf.unqualified(member.type)
                    if not member.name and btf.type(inner).kind == UNION:
                        found.add(inner)
                        queue += [m.type for m in btf.members(inner)[:1]]
        return found

    def _types(self, tokens: list[Token]) -> list[int]:
        """Return the types to define, enums first."""
        btf = self.maker.btf
        mentioned_tags = {
            b.text
            for a, b in zip(tokens, tokens[1:])
            if a.text in ("struct", "union", "enum") and b.kind == "name"
        }
        for name in self._used_macros:
            line = scan(self.maker.macros.lines[name])
            mentioned_tags |= {b.text for a, b in zip(line, line[1:]) if a.text == "struct"}
        tags = (mentioned_tags - self.own_tags) | set(_WHOLE_TYPES) | set(_HELPER_TYPES)
        types = [i for name in _BASE_TYPES for i in btf.find(name, TYPEDEF)]
        for name in sorted(self.wanted | tags):
            if name not in self.own_names and name not in self._variables:
                types += btf.find(name, TYPEDEF)
            if name in tags:
                types += btf.find(name, STRUCT, UNION, FWD, *ENUMS)
        return self._enums() + types

    def _enums(self) -> list[int]:
        btf = self.maker.btf
        known = btf.index.enumerators
        helpers = {n for n in self.maker.helpers.constants if n.startswith("BPF_F_")}
        wanted = self.wanted | helpers | set(_BASE_ENUMERATORS)
        taken = self.own_names | self._variables | self._own_macros
        found = {known[n] for n in wanted if n in known and n not in taken}
        return btf.find("bpf_func_id", *ENUMS) + sorted(found)


def version_macros() -> str:
    """Return LINUX_VERSION_CODE and KERNEL_VERSION for the running kernel."""
    numbers = [int(n) for n in re.findall(r"\d+", platform.release())[:3]] + [0, 0, 0]
    code = (numbers[0] << 16) + (numbers[1] << 8) + min(numbers[2], 255)
    return (
        "#ifndef LINUX_VERSION_CODE\n"
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
        f"#define LINUX_VERSION_CODE {code}\n#endif\n"
    )


def _kernel_config() -> dict[str, str]:
    config: dict[str, str] = {}
    for line in _config_text().splitlines():
        match = re.match(r"(CONFIG_\w+)=(.*)", line)
        if match:
            name, value = match.groups()
            config[f"{name}_MODULE" if value == "m" else name] = "1" if value in "ym" else value
    return config


def _config_text() -> str:
    try:
        with gzip.open("/proc/config.gz", "rt") as file:
            return str(file.read())
    except OSError:
        pass
    try:
        return Path(f"/boot/config-{platform.release()}").read_text()
    except OSError:
        return ""
