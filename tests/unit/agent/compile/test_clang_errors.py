from __future__ import annotations

from kernelscope.agent.compile import clang_errors

SOURCE = """BPF_HASH(h, u32);
int f(void *ctx) { u32 k = 1;
 u64 *v = h.lookup(&k);
 (*v)++;
 return 0; }"""
PREFIX = 7


def test_places_clangs_first_error_in_the_users_text() -> None:
    said = (
        f"/virtual/main.c:{PREFIX + 3}:11: warning: unused variable 'v' [-Wunused]\n"
        f"/virtual/main.c:{PREFIX + 4}:4: error: use of undeclared identifier 'w'\n (*w)++;\n   ^\n"
        f"/virtual/main.c:{PREFIX + 5}:9: error: expected ';'\n1 warning and 2 errors generated.\n"
    )
    error = clang_errors.compile_error(said, SOURCE, PREFIX)
    assert (error.details["line"], error.details["column"]) == (4, 4)
    assert error.details["text"] == " (*v)++;"
    assert error.message == ("line 4: use of undeclared identifier 'w'\n     (*v)++;\n       ^")
    assert "program:4:4: error" in error.details["log"]
    assert error.hint == "is w misspelt, or a macro that this kernel lacks?"


def test_places_an_error_inside_a_macro_where_the_macro_is_used() -> None:
    said = (
        "/virtual/include/bcc/helpers.h:98:9: error: field has incomplete type 'struct k_t'\n"
        f"/virtual/main.c:{PREFIX + 1}:1: note: expanded from macro\n"
    )
    assert clang_errors.compile_error(said, SOURCE, PREFIX).details["line"] == 1


def test_an_error_without_a_place_keeps_clangs_message() -> None:
    said = "error: in function f: Looks like the BPF stack limit of 512 bytes is exceeded.\n"
    error = clang_errors.compile_error(said, SOURCE, PREFIX)
    assert error.details["line"] is None
    assert "512 bytes" in error.message
    assert "BPF_PERCPU_ARRAY" in (error.hint or "")


def test_reports_only_warnings_about_the_users_lines() -> None:
    said = (
        f"/virtual/main.c:{PREFIX + 3}:11: warning: unused variable 'v' [-Wunused]\n"
        "/virtual/main.c:2:1: warning: in the prefix\n"
        "/virtual/include/bcc/helpers.h:98:9: warning: macro redefined\n"
    )
    assert clang_errors.warnings(said, SOURCE, PREFIX) == ["line 3: unused variable 'v' [-Wunused]"]


def test_lists_names_that_clang_does_not_know() -> None:
    said = (
        "x.c:1:1: error: use of undeclared identifier 'PAGE'\n"
        "x.c:2:1: error: no member named 'pid' in 'struct task'\n"
    )
    assert clang_errors.missing_names(said) == {"PAGE", "pid"}
