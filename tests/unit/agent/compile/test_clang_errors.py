from __future__ import annotations

import pytest

from kernelscope.agent.compile import clang_errors
from kernelscope.agent.source.rewriter import FIRST_LINE

SOURCE = """BPF_HASH(h, u32);
int f(void *ctx) { u32 k = 1;
 u64 *v = h.lookup(&k);
 (*v)++;
 return 0; }"""


def test_places_clangs_first_error_in_the_users_text() -> None:
    output = (
        f"/virtual/main.c:{FIRST_LINE + 2}:11: warning: unused variable 'v' [-Wunused]\n"
        f"/virtual/main.c:{FIRST_LINE + 3}:4: error: use of undeclared identifier 'w'\n"
        " (*w)++;\n   ^\n"
        f"/virtual/main.c:{FIRST_LINE + 4}:9: error: expected ';'\n"
        "1 warning and 2 errors generated.\n"
    )
    error = clang_errors.compile_error(output, SOURCE)
    assert (error.details["line"], error.details["column"]) == (4, 4)
    assert error.details["text"] == " (*v)++;"
    assert error.message == ("line 4: use of undeclared identifier 'w'\n     (*v)++;\n       ^")
    assert "program:4:4: error" in error.details["log"]
    assert error.hint == "is w misspelt, or a macro that this kernel lacks?"


def test_places_an_error_inside_a_macro_where_the_macro_is_used() -> None:
    output = (
        "/virtual/include/bcc/helpers.h:98:9: error: field has incomplete type 'struct k_t'\n"
        f"/virtual/main.c:{FIRST_LINE}:1: note: expanded from macro\n"
    )
    assert clang_errors.compile_error(output, SOURCE).details["line"] == 1


def test_an_error_without_a_place_keeps_clangs_message() -> None:
    output = "error: in function f: Looks like the BPF stack limit of 512 bytes is exceeded.\n"
    error = clang_errors.compile_error(output, SOURCE)
    assert error.details["line"] is None
    assert "512 bytes" in error.message
    assert "BPF_PERCPU_ARRAY" in (error.hint or "")


def test_reports_only_warnings_about_the_users_lines() -> None:
    output = (
        f"/virtual/main.c:{FIRST_LINE + 2}:11: warning: unused variable 'v' [-Wunused]\n"
        "/virtual/main.c:2:1: warning: in the prefix\n"
        "/virtual/include/bcc/helpers.h:98:9: warning: macro redefined\n"
    )
    assert clang_errors.warnings(output, SOURCE) == ["line 3: unused variable 'v' [-Wunused]"]


def test_lists_names_that_clang_does_not_know() -> None:
    output = (
        "x.c:1:1: error: use of undeclared identifier 'PAGE'\n"
        "x.c:2:1: error: no member named 'pid' in 'struct task'\n"
    )
    assert clang_errors.missing_names(output) == {"PAGE", "pid"}


def test_a_warning_at_the_errors_line_names_the_cause() -> None:
    output = (
        f"/virtual/main.c:{FIRST_LINE + 3}:9: warning: missing terminating '\"' character"
        " [-Winvalid-pp-token]\n"
        f"/virtual/main.c:{FIRST_LINE + 3}:4: error: expected expression\n"
    )
    message = clang_errors.compile_error(output, SOURCE).message
    assert message.startswith("line 4: expected expression (missing terminating '\"' character)\n")


@pytest.mark.parametrize(
    ("output", "line", "words"),
    [
        (
            "Error at line 7: Unsupport signed division for DAG: 0x1: i64 = sdiv 0x2,"
            f" /virtual/main.c:{FIRST_LINE + 3}:4Please convert to unsigned div/mod.\n"
            "LLVM ERROR: Cannot select: 0x1\n",
            4,
            "no signed division",
        ),
        (
            f"error: /virtual/main.c:{FIRST_LINE + 1}:8: in function f i32 (ptr):"
            " unsupported signed division, please convert to unsigned div/mod.\n",
            2,
            "no signed division",
        ),
        (
            f"error: /virtual/main.c:{FIRST_LINE + 4}:2: in function f i32 (%struct.x*): too many"
            " args to 0x7f: i64 = Constant<6>\n",
            5,
            "at most five arguments",
        ),
    ],
    ids=["LLVM 14", "LLVM 17", "too many arguments"],
)
def test_places_messages_of_clangs_back_end(output: str, line: int, words: str) -> None:
    error = clang_errors.compile_error(output, SOURCE, "crashed (SIGABRT)")
    assert error.details["line"] == line
    assert words in error.message


def test_a_crash_without_a_message_names_the_signal() -> None:
    error = clang_errors.compile_error("", SOURCE, "crashed (SIGSEGV)")
    assert "crashed (SIGSEGV)" in error.message
