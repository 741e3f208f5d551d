from __future__ import annotations

import pytest

from kernelscope.agent.source.rewriter import PARAM_MAGIC, blank_includes, rewrite
from kernelscope.protocol.c_tokens import scan

RECORD = "struct data_t { u64 ts; u32 pid; };\nBPF_PERF_OUTPUT(events);\n"


def body(source: str, **options: bool) -> str:
    done = rewrite(source, **options)
    return "\n".join(done.text.split("\n")[done.prefix_lines :])


def test_blanks_kernel_includes_and_keeps_lines() -> None:
    text = '#include <linux/sched.h>\n# include "uapi/x.h"\n#include <bcc/proto.h>\nint x;\n'
    assert blank_includes(text) == "\n\n#include <bcc/proto.h>\nint x;\n"


def test_tokens_skip_comments_and_keep_strings_whole() -> None:
    tokens = scan('a = "x /* y"; // b\n/* c\nd */ e')
    assert [t.text for t in tokens] == ["a", "=", '"x /* y"', ";", "e"]


def test_a_perf_buffer_becomes_a_ring_that_counts_losses() -> None:
    source = (
        RECORD + "int f(void *ctx) { struct data_t d = {};\n"
        " events.perf_submit(ctx, &d, sizeof(d)); return 0; }\n"
    )
    done = rewrite(source)
    assert "BPF_RINGBUF_OUTPUT(events, 1)" in done.text
    assert "events.ringbuf_output((&d) + 0, sizeof(d), 0); if (_ks) ks_lost_add(1)" in done.text
    assert done.rings == done.substituted == ("events",)
    assert done.counts_losses


def test_every_line_keeps_its_number() -> None:
    source = (
        RECORD + "int f(void *ctx) { struct data_t d = {};\n"
        " events.perf_submit(\n   ctx,\n   &d,\n   sizeof(\n d));\n  MARK; return 0; }\n"
    )
    lines = body(source).split("\n")
    assert lines.index("  MARK; return 0; }") == source.split("\n").index("  MARK; return 0; }")
    assert "BPF_PERF_OUTPUT" not in "\n".join(lines)


def test_keeps_arguments_with_commas_and_brackets() -> None:
    source = (
        RECORD + "int f(void *ctx) { struct data_t d[2];\n"
        " events.perf_submit(ctx, &d[g(1, 2)], MIN(sizeof(d[0]), h(3))); return 0; }\n"
    )
    assert (
        "events.ringbuf_output((&d[g(1, 2)]) + 0, MIN(sizeof(d[0]), h(3)), 0)"
        in rewrite(source).text
    )


@pytest.mark.parametrize(
    "use",
    [
        "events.perf_submit_skb(skb, 10, &d, sizeof(d));",
        "helper(&events);",
        "check(events.perf_submit(ctx, &d, sizeof(d)));",
        "events.perf_submit(ctx, &d);",
        "",
    ],
)
def test_keeps_a_perf_buffer_whose_use_is_not_plain(use: str) -> None:
    done = rewrite(RECORD + "int f(void *ctx) { struct data_t d; " + use + " return 0; }\n")
    assert done.substituted == ()
    assert "BPF_PERF_OUTPUT(events)" in done.text


def test_keeps_a_perf_buffer_used_by_a_macro() -> None:
    source = RECORD + "#define SEND(d) events.perf_submit(ctx, &d, sizeof(d))\n"
    assert rewrite(source).substituted == ()


def test_keeps_perf_buffers_on_request() -> None:
    source = (
        RECORD + "int f(void *ctx) { struct data_t d; events.perf_submit(ctx, &d, sizeof(d)); }"
    )
    assert rewrite(source, ring_buffers=False).rings == ()


def test_does_not_change_comments_and_strings() -> None:
    source = '// events.perf_submit(ctx, &d, 8)\nchar *s = "BPF_PERF_OUTPUT(events)";\n'
    assert body(source) == source
    assert rewrite(source).tables == {}


def test_a_failed_reservation_counts_as_lost() -> None:
    source = (
        "struct e { u64 a; };\nBPF_HASH(h);\nBPF_RINGBUF_OUTPUT(r, 8);\n"
        "int f(void *ctx) { struct e *p = r.ringbuf_reserve(sizeof(struct e)); }\n"
    )
    done = rewrite(source)
    assert "void *_ks = r.ringbuf_reserve(sizeof(struct e)); if (!_ks) ks_lost_add(1)" in done.text
    assert done.rings == ("r",)
    assert done.substituted == ()


def test_a_ring_used_inside_a_call_does_not_count_losses() -> None:
    source = "BPF_RINGBUF_OUTPUT(r, 8);\nint f(void *c) { u64 d; g(r.ringbuf_output(&d, 8, 0)); }"
    assert not rewrite(source).counts_losses


def test_a_member_with_the_rings_name_does_not_stop_the_counting() -> None:
    source = (
        "struct e { u32 r; };\nBPF_RINGBUF_OUTPUT(r, 8);\n"
        "int f(void *c) { struct e d = {}; d.r = 1; r.ringbuf_output(&d, sizeof(d), 0); return 0; }"
    )
    assert rewrite(source).counts_losses


def test_each_parameter_has_an_index_and_a_constant() -> None:
    done = rewrite("int f(void *c) { return KS_PARAM(pid) + KS_PARAM(uid) + KS_PARAM(pid); }")
    assert done.params == {"pid": 0, "uid": 1}
    assert f"{PARAM_MAGIC + 1:#x} ll" in done.text


def test_a_macros_own_definition_is_not_a_parameter() -> None:
    assert rewrite("", "#define KS_PARAM(name) 0\n").params == {}


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        ("events.perf_submit(ctx, &d, sizeof(d));", ("struct data_t", True)),
        ("events.perf_submit(ctx, &d, sizeof(struct data_t));", ("struct data_t", True)),
        ("struct data_t *p = x; events.perf_submit(ctx, p, sizeof(*p));", ("struct data_t", True)),
        ("events.perf_submit(ctx, &d, n);", ("struct data_t", False)),
        ("events.perf_submit(ctx, buffer, 64);", ("", False)),
        ("char line[64]; events.perf_submit(ctx, line, 64);", ("char", False)),
        ("u64 v[3]; events.perf_submit(ctx, &v, sizeof(v));", ("u64 [3]", True)),
        ("struct iphdr i; events.perf_submit(ctx, &i, sizeof(i));", ("struct iphdr", True)),
        (
            "struct { u64 a; u32 b, c; } e; events.perf_submit(ctx, &e, sizeof(e));",
            ("struct { u64 a ; u32 b , c ; }", True),
        ),
        (
            "struct in_t { u64 a; }; struct in_t e; events.perf_submit(ctx, &e, sizeof(e));",
            ("struct { u64 a ; }", True),
        ),
    ],
)
def test_finds_the_type_of_records(use: str, kind: tuple[str, bool]) -> None:
    done = rewrite(RECORD + "int f(void *ctx) { struct data_t d; " + use + " return 0; }\n")
    assert done.records["events"][:2] == kind


def test_warns_of_records_of_several_types() -> None:
    use = "u64 v; events.perf_submit(ctx, &d, 16); events.perf_submit(ctx, &v, sizeof(v));"
    done = rewrite(RECORD + "int f(void *ctx) { struct data_t d; " + use + " return 0; }\n")
    assert done.records["events"].several == ("struct data_t", "u64")
    assert "events: its records have several types (struct data_t, u64)" in done.warnings[0]


def test_warns_of_records_whose_type_is_not_clear() -> None:
    use = "events.perf_submit(ctx, buffer, 64);"
    done = rewrite(RECORD + "int f(void *ctx) { " + use + " return 0; }\n")
    assert "the type of its records is not clear" in done.warnings[0]


def test_finds_the_type_of_a_record_passed_as_a_parameter() -> None:
    source = (
        RECORD + "static int send(void *ctx, struct data_t *d) {\n"
        " return events.perf_submit(ctx, d, sizeof(*d)); }\n"
    )
    assert rewrite(source).records["events"][:2] == ("struct data_t", True)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("BPF_HISTOGRAM(h); int f(void *c) { h.increment(bpf_log2l(v)); }", "log2"),
        (
            "BPF_HISTOGRAM(h, k_t); int f() { k_t k; k.slot = bpf_log2(v); h.increment(k); }",
            "log2",
        ),
        ("BPF_HISTOGRAM(h); int f(void *c) { h.increment(v / 10); }", "linear"),
        (
            "BPF_HISTOGRAM(h); int g() { u32 x = bpf_log2l(1); } int f() { h.increment(x); }",
            "linear",
        ),
        (
            "BPF_HISTOGRAM(d); BPF_HISTOGRAM(h); int f() { u64 n; d.increment(bpf_log2l(n / 2));"
            " h.increment(n / 2); }",
            "linear",
        ),
        (
            "BPF_HISTOGRAM(h); int f() { int c = 3; int s = bpf_log2l(c); h.increment(c); }",
            "linear",
        ),
        (
            "BPF_HISTOGRAM(h); int f() { u32 s = bpf_log2l(9); u64 t = (u64)s; h.increment(t); }",
            "log2",
        ),
        (
            "BPF_HISTOGRAM(h); static u64 slot(u64 v) { return bpf_log2l(v); }"
            " int f() { h.increment(slot(300)); }",
            "log2",
        ),
        (
            "#define SLOT(v) bpf_log2l(v)\nBPF_HISTOGRAM(h); int f() { h.increment(SLOT(3)); }",
            "log2",
        ),
        ("BPF_HISTOGRAM(h); int f() { h.increment(my_log2(3)); }", "log2"),
        (
            "BPF_HISTOGRAM(h, k_t); int f() { k_t k = {.a = 1, .slot = bpf_log2(v)};"
            " h.increment(k); }",
            "log2",
        ),
        ("KS_HISTOGRAM(h);", "log_linear"),
        ("BPF_HASH(h);", ""),
    ],
)
def test_recognizes_the_scale_of_a_histogram(source: str, kind: str) -> None:
    assert rewrite(source).histograms["h"] == kind


def test_warns_of_a_histogram_whose_slots_another_function_computes() -> None:
    source = (
        "BPF_HISTOGRAM(h); static u64 slot(u64 v) { return v / 3; }"
        " int f() { h.increment(slot(9)); }"
    )
    (warning,) = rewrite(source).warnings
    assert "h: its slots, which slot() computes, are read as plain numbers" in warning


@pytest.mark.parametrize(
    ("use", "is_stack"),
    [
        ("int k = st.get_stackid(ctx, 0); calls.increment(k);", True),
        ("u32 k = 3; calls.increment(k); int s = st.get_stackid(ctx, 0);", False),
    ],
)
def test_recognizes_keys_that_are_stack_ids(use: str, is_stack: bool) -> None:
    source = (
        f"BPF_STACK_TRACE(st, 64); BPF_HASH(calls, int); int f(void *ctx) {{ {use} return 0; }}"
    )
    assert ("calls" in rewrite(source).stack_keys) is is_stack


def test_recognizes_arrays_in_which_records_are_built() -> None:
    source = (
        RECORD + "BPF_PERCPU_ARRAY(buffer, struct data_t, 1); BPF_PERCPU_ARRAY(counts, u64, 1);\n"
        "int f(void *ctx) { int zero = 0; struct data_t *d = buffer.lookup(&zero);\n"
        " u64 *n = counts.lookup(&zero); if (!d || !n) return 0; (*n)++;\n"
        " events.perf_submit(ctx, d, sizeof(*d)); return 0; }"
    )
    assert rewrite(source).scratch == {"buffer"}


@pytest.mark.parametrize(
    ("declared", "sized"),
    [
        ("BPF_HASH(h)", False),
        ("BPF_HASH(h, u32, u64)", False),
        ("BPF_HASH(h, u32, u64, 512)", True),
        ('BPF_TABLE("hash", u32, u64, h, 512)', True),
        ("BPF_ARRAY(h, u64)", False),
    ],
)
def test_recognizes_whether_a_table_states_its_size(declared: str, sized: bool) -> None:
    assert rewrite(declared + ";").tables["h"].sized is sized


def test_recognizes_a_program_that_prints() -> None:
    source = 'int f(void *c) { bpf_trace_printk("x"); }'
    assert rewrite(source, ring_buffers=False).printk
    assert not rewrite("// bpf_trace_printk\n").printk


def test_a_stack_without_a_slot_counts_as_lost() -> None:
    source = (
        "BPF_STACK_TRACE(st, 64); int f(void *ctx) { int k = st.get_stackid(ctx, 0); return 0; }"
    )
    assert "st.get_stackid(ctx, 0); if" in rewrite(source).text
