"""C declarations for the types of a BTF blob, each member at its offset in this kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kernelscope.agent.btf.types import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    ENUMS,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    MODIFIERS,
    PTR,
    RECORDS,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOID,
    VOLATILE,
    Btf,
    Member,
)

_QUALIFIER = {CONST: "const", VOLATILE: "volatile", RESTRICT: "restrict"}
_INT_NAMES = {"__int128 unsigned": "unsigned __int128"}
_FILLER = {8: "unsigned char", 16: "unsigned short", 32: "unsigned int"}
_STARTED, _DONE = 1, 2


class Emitter:
    """Writes definitions in the order that C needs.

    keep: returns whether to write a member of that name. Other members become padding, so that the
        size, the alignment and the offsets of written members stay exact.
    taken: tags that the program defines; the kernel's types of that name are renamed.
    skip: names of types and enumerators that are never defined.
    whole: structs whose every member is written; of unions without a name the first member.
    """

    def __init__(
        self,
        btf: Btf,
        keep: Callable[[str], bool],
        taken: Iterable[str] = (),
        skip: Iterable[str] = (),
        whole: Iterable[int] = (),
    ) -> None:
        self.btf = btf
        self.out: list[str] = []
        self.state: dict[int, int] = {}
        self._keep = keep
        self._skip = frozenset(skip)
        self._whole = frozenset(whole)
        self._tags: dict[str, dict[int, str]] = {name: {-1: name} for name in taken}
        self._kept: dict[int, list[Member]] = {}
        self._forwards: set[str] = set()
        self._typedefs: set[str] = set()
        self._enumerators: set[str] = set()
        self._later: list[int] = []
        self._pads = 0

    # --- what to write ---------------------------------------------------------------------------

    def define(self, numbers: Iterable[int]) -> None:
        """Write the definitions of these types and of everything they need."""
        for number in numbers:
            kind = self.btf.type(number).kind
            if kind == TYPEDEF:
                self._typedef(number, True)
            elif kind in RECORDS:
                self._record(number)
            elif kind in ENUMS:
                self._enum(number)
            elif kind == FWD:
                self._forward(number)
        while self._later:
            self._record(self._later.pop())

    def kept(self, number: int) -> list[Member]:
        """Return the members of a struct or union that are written."""
        known = self._kept.get(number)
        if known is None:
            members = self.btf.members(number)
            known = [m for m in members if self._wanted(m)]
            if number in self._whole:
                is_union = self.btf.type(number).kind == UNION
                known = (known or members[:1]) if is_union else members
            self._kept[number] = known
        return known

    def tag(self, number: int) -> str:
        """Return the written name of a struct, union or enum."""
        name = self.btf.name(number)
        if self.btf.type(number).kind == FWD:
            return name
        known = self._tags.setdefault(name, {})
        if number not in known:
            known[number] = f"{name}___{len(known) + 1}" if known else name
        return known[number]

    def _wanted(self, member: Member) -> bool:
        if member.name:
            return self._keep(member.name)
        inner = self.btf.unqualified(member.type)
        is_record = self.btf.type(inner).kind in RECORDS
        return is_record and not member.bits and bool(self.kept(inner))

    # --- order -----------------------------------------------------------------------------------

    def _need(self, number: int, by_value: bool) -> None:
        number, by_value = self._referred(number, by_value)
        record = self.btf.type(number)
        if record.kind == FUNC_PROTO:
            self._need(record.size, False)
            for _, parameter in self.btf.parameters(number):
                self._need(parameter, False)
        elif record.kind == TYPEDEF:
            self._typedef(number, by_value)
        elif record.kind in ENUMS and record.name:
            self._enum(number)
        elif record.kind == FWD:
            self._forward(number)
        elif record.kind in RECORDS:
            self._need_record(number, by_value)

    def _need_record(self, number: int, by_value: bool) -> None:
        if not self.btf.type(number).name:
            for member in self.kept(number):
                self._need(member.type, True)
        elif by_value:
            self._record(number)
        else:
            self._forward(number)
            if not self.state.get(number) and self.kept(number):
                self._later.append(number)

    def _referred(self, number: int, by_value: bool) -> tuple[int, bool]:
        """Follow pointers, arrays and qualifiers; an array's element must be a complete type."""
        while True:
            record = self.btf.type(number)
            if record.kind in MODIFIERS:
                number = record.size
            elif record.kind == PTR:
                number, by_value = record.size, False
            elif record.kind == ARRAY:
                number = self.btf.array(number)[0]
                if self.btf.type(self.btf.unqualified(number)).kind in RECORDS:
                    by_value = True
            else:
                return number, by_value

    def _forward(self, number: int) -> None:
        record = self.btf.type(number)
        if self.state.get(number) == _DONE or self.btf.name(number) in self._skip:
            return
        is_union = record.kind == UNION or (record.kind == FWD and record.flag)
        text = f"{'union' if is_union else 'struct'} {self.tag(number)};\n"
        if text not in self._forwards:
            self._forwards.add(text)
            self.out.append(text)

    def _typedef(self, number: int, by_value: bool) -> None:
        record, name = self.btf.type(number), self.btf.name(number)
        target = record.size
        while self.btf.type(target).kind in MODIFIERS:
            target = self.btf.type(target).size
        target_record = self.btf.type(target)
        is_tagged = target_record.kind in RECORDS and bool(target_record.name)
        if not self.state.get(number):
            self.state[number] = _STARTED
            if name not in self._skip and name not in self._typedefs:
                self._typedefs.add(name)
                self._need(record.size, not is_tagged)
                self.out.append(self._typedef_text(name, record.size))
            self.state[number] = _DONE
        if by_value:
            self._need(target, True)

    def _typedef_text(self, name: str, target: int) -> str:
        if name.startswith("__builtin"):
            return ""
        if name in ("va_list", "__gnuc_va_list"):
            return f"typedef __builtin_va_list {name};\n"
        return f"typedef {self.declare(target, name)};\n"

    def _enum(self, number: int) -> None:
        record = self.btf.type(number)
        if self.state.get(number) or not record.length or self.btf.name(number) in self._skip:
            return
        text = self._enum_body(number)
        self.state[number] = _DONE
        if text.startswith("enum"):
            self.out.append(text + ";\n")

    def _record(self, number: int) -> None:
        if self.state.get(number):
            return
        if self.btf.name(number) in self._skip:
            self.state[number] = _DONE
            return
        self.state[number] = _STARTED
        for member in self.kept(number):
            self._need(member.type, True)
        self.out.append(self._record_body(number, 0) + ";\n")
        self.state[number] = _DONE

    # --- declarations ----------------------------------------------------------------------------

    def declare(self, number: int, name: str, depth: int = 0) -> str:
        """Return C's declaration of `name` with this type."""
        record = self.btf.type(number)
        kind = record.kind
        if kind == PTR:
            pointed = self._through_tags(record.size)
            inner = f"*{name}"
            if self.btf.type(pointed).kind in (ARRAY, FUNC_PROTO):
                inner = f"({inner})"
            return self.declare(record.size, inner, depth)
        if kind in _QUALIFIER:
            return self._declare_qualified(number, name, depth)
        if kind == TYPE_TAG:
            return self.declare(record.size, name, depth)
        if kind == ARRAY:
            element, length = self.btf.array(number)
            return self.declare(element, f"{name}[{length}]", depth)
        if kind == FUNC_PROTO:
            return self.declare(record.size, f"{name}({self._parameters(number)})", depth)
        return f"{self._type_name(number, depth)} {name}".rstrip()

    def _type_name(self, number: int, depth: int) -> str:
        record = self.btf.type(number)
        name = self.btf.name(number)
        if record.kind == VOID:
            return "void"
        if record.kind in (INT, FLOAT, TYPEDEF):
            return _INT_NAMES.get(name, name)
        if not name:
            is_enum = record.kind in ENUMS
            return self._enum_body(number) if is_enum else self._record_body(number, depth)
        if record.kind == FWD:
            return f"{'union' if record.flag else 'struct'} {name}"
        word = {STRUCT: "struct", UNION: "union", ENUM: "enum", ENUM64: "enum"}[record.kind]
        return f"{word} {self.tag(number)}"

    def _through_tags(self, number: int) -> int:
        while self.btf.type(number).kind == TYPE_TAG:
            number = self.btf.type(number).size
        return number

    def _declare_qualified(self, number: int, name: str, depth: int) -> str:
        qualifiers = []
        while self.btf.type(number).kind in MODIFIERS:
            record = self.btf.type(number)
            if record.kind in _QUALIFIER:
                qualifiers.append(_QUALIFIER[record.kind])
            number = record.size
        words = " ".join(qualifiers)
        kind = self.btf.type(number).kind
        if kind == PTR:
            return self.declare(number, f"{words} {name}", depth)
        if kind in (FUNC_PROTO, ARRAY) or words == "restrict":
            return self.declare(number, name, depth)
        return f"{words} {self.declare(number, name, depth)}"

    def _parameters(self, number: int) -> str:
        texts = [
            "..." if kind == 0 and not name else self.declare(kind, "")
            for name, kind in self.btf.parameters(number)
        ]
        return ", ".join(texts) or "void"

    # --- bodies ----------------------------------------------------------------------------------

    def _enum_body(self, number: int) -> str:
        record, name = self.btf.type(number), self.btf.name(number)
        if not name and self.state.get(number) == _DONE:
            return "unsigned int"  # its constants are written already and may not be repeated
        if not name:
            self.state[number] = _DONE
        fresh = []
        for enumerator, value in self.btf.enumerators(number):
            if enumerator not in self._enumerators and enumerator not in self._skip:
                self._enumerators.add(enumerator)
                fresh.append(f"{enumerator} = {literal(value)}")
        tag = f"{self.tag(number)} " if name else ""
        if not fresh:
            return f"enum {tag}{{ __{tag.strip()}_empty = 0 }}" if name else "unsigned int"
        small = {1: " __attribute__((packed))", 2: " __attribute__((mode(HI)))"}
        return f"enum {tag}{{{', '.join(fresh)}}}{small.get(record.size, '')}"

    def _record_body(self, number: int, depth: int) -> str:
        record = self.btf.type(number)
        members = self.kept(number)
        alignment = self.btf.alignof(number)
        overaligned = any(self.btf.alignof(m.type) > alignment for m in members)
        if record.kind == UNION:
            packed = overaligned
            lines = [self._member(m, depth) for m in members] + [self._pad(record.size)]
        else:
            packed = overaligned or any(
                not m.bits and m.bit_offset % (8 * self.btf.alignof(m.type)) for m in members
            )
            lines = self._struct_lines(members, record.size, depth)
        indent = "\t" * (depth + 1)
        body = "".join(f"{indent}{line};\n" for line in lines)
        word = "union" if record.kind == UNION else "struct"
        tag = f"{self.tag(number)} " if record.name else ""
        attribute = f"__attribute__(({'packed, ' if packed else ''}aligned({alignment})))"
        closing = "\t" * depth
        return f"{word} {tag}{{\n{body}{closing}}} {attribute}"

    def _struct_lines(self, members: list[Member], size: int, depth: int) -> list[str]:
        lines: list[str] = []
        at = 0
        for member in members:
            if member.bits:
                lines += self._bit_padding(at, member)
                at = member.bit_offset + member.bits
            else:
                gap = member.bit_offset // 8 - (at + 7) // 8
                if gap > 0:
                    lines.append(self._pad(gap))
                at = member.bit_offset + 8 * self.btf.sizeof(member.type)
            lines.append(self._member(member, depth))
        rest = size - (at + 7) // 8
        if rest > 0:
            lines.append(self._pad(rest))
        return lines

    def _bit_padding(self, at: int, member: Member) -> list[str]:
        """Pad up to a bit field: whole bytes as chars, the rest as bits of the field's type."""
        lines = []
        unit = 8 * self.btf.sizeof(member.type)
        start = member.bit_offset // unit * unit
        if at < start:
            whole = (start - (at + 7) // 8 * 8) // 8
            lines.append(self._pad(whole) if whole > 0 else "unsigned char : 0")
            at = start
        if member.bit_offset > at:
            filler = _FILLER.get(unit, "unsigned long long")
            lines.append(f"{filler} : {member.bit_offset - at}")
        return lines

    def _member(self, member: Member, depth: int) -> str:
        name = f"{member.name}: {member.bits}" if member.bits else member.name
        return self.declare(member.type, name, depth + 1)

    def _pad(self, size: int) -> str:
        self._pads += 1
        return f"char __pad{self._pads}[{size}]"


def literal(value: int) -> str:
    """Return an integer as a C constant whose type can hold it."""
    if value > 0x7FFFFFFFFFFFFFFF:
        return f"{value}ULL"
    if value == -(1 << 63):
        return "(-9223372036854775807LL-1)"
    if 0x7FFFFFFF < value <= 0xFFFFFFFF:
        return f"{value}U"
    return f"{value}LL" if not -(1 << 31) <= value <= 0x7FFFFFFF else str(value)
