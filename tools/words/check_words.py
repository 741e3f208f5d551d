"""Find words that this project's English avoids, in the prose of its files.

    python -m tools.words.check_words [FILE...]

`words.toml`, next to this file, has the words, what to write instead, the files to check and the
exceptions. With arguments, only those files are checked (and only if words.toml includes them).
"""

from __future__ import annotations

import ast
import fnmatch
import io
import json
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = Path(__file__).with_name("words.toml")
# Between two words of a phrase: spaces, or the end of a line and the next comment line's marker.
_GAP = r"(?:[ \t]+|[ \t]*\n[ \t]*(?:#|\*|//|>)?[ \t]*)"


@dataclass(frozen=True)
class Word:
    """A word or phrase to avoid: its pattern, and what to write instead."""

    pattern: re.Pattern[str]
    use: str


@dataclass(frozen=True)
class Exemption:
    """A text in which a word is right, and the files (a glob) that may contain it."""

    text: str
    files: str


@dataclass(frozen=True)
class Rules:
    """The content of words.toml."""

    words: tuple[Word, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    allowed: tuple[Exemption, ...]

    def covers(self, path: str) -> bool:
        """Return whether a file of the repository is to be checked."""
        return _matches(path, self.include) and not _matches(path, self.exclude)


def read(path: Path = WORDS) -> Rules:
    """Read words.toml. Raises KeyError and re.error where it is wrong."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    words = [
        Word(_pattern(phrase), use)
        for use, phrases in data["instead"].items()
        for phrase in phrases
    ]
    allowed = [Exemption(each["text"], each.get("files", "*")) for each in data.get("allow", ())]
    files = data["files"]
    return Rules(tuple(words), tuple(files["include"]), tuple(files["exclude"]), tuple(allowed))


def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_GAP.join(phrase.split(' '))})\b", re.IGNORECASE)


def _matches(path: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(path, glob) for glob in globs)


def found(path: str, text: str, rules: Rules) -> Iterator[str]:
    """Yield a line for each word to avoid in a file's prose."""
    prose = prose_of(path, text)
    for each in rules.allowed:
        if fnmatch.fnmatch(path, each.files):
            gap = re.compile(_GAP.join(map(re.escape, each.text.split())))
            prose = gap.sub(lambda match: re.sub(r"\S", " ", match[0]), prose)
    hits = [
        (hit.start(), hit[0], word.use)
        for word in rules.words
        for hit in word.pattern.finditer(prose)
    ]
    for start, hit, use in sorted(hits):
        line = prose.count("\n", 0, start) + 1
        yield f"{path}:{line}: {' '.join(hit.split())!r}: write {use}"


def prose_of(path: str, text: str) -> str:
    """Return a file's text with everything blanked that is not prose; lines keep their numbers."""
    if path.endswith(".py"):
        return _python(text)
    if path.endswith((".c", ".h")):
        return _kept(text, re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL))
    if path.endswith(".toml"):
        return re.sub(r"^example = '''.*?'''", _blank, text, flags=re.DOTALL | re.MULTILINE)
    if path.endswith(".ipynb"):
        return _notebook(text)
    return text


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _kept(text: str, prose: re.Pattern[str]) -> str:
    """Return the text with everything blanked but what a pattern finds."""
    out, end = [], 0
    for match in prose.finditer(text):
        out += [re.sub(r"[^\n]", " ", text[end : match.start()]), match[0]]
        end = match.end()
    return "".join(out)


def _python(text: str) -> str:
    """Return comments and strings, each at its line."""
    lines = [""] * (text.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] += token.string
        elif token.type == tokenize.STRING:
            value = _value(token.string)
            if " " not in value.strip():
                continue  # a name or a key, not prose
            for number, line in enumerate(value.split("\n"), token.start[0] - 1):
                if number < len(lines):
                    lines[number] += f" {line}"
        elif token.type == getattr(tokenize, "FSTRING_MIDDLE", None):
            lines[token.start[0] - 1] += f" {token.string}"
    return "\n".join(lines)


def _value(literal: str) -> str:
    """Return a string's text; of an f-string, its source without the expressions."""
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError):
        return re.sub(r"\{[^{}]*\}", "{}", literal)
    return value if isinstance(value, str) else ""


def _notebook(text: str) -> str:
    """Return the Markdown cells and the code's comments; lines are counted across all cells."""
    return "\n".join(
        line if cell["cell_type"] == "markdown" else line.partition("#")[2]
        for cell in json.loads(text)["cells"]
        for line in "".join(cell["source"]).split("\n")
    )


def tracked(arguments: list[str]) -> list[str]:
    """Return the files to look at, relative to the repository: the given ones, or all in git."""
    if arguments:
        return [Path(name).resolve().relative_to(ROOT).as_posix() for name in arguments]
    if shutil.which("git") is None:
        print("The words are not checked: git, which lists the files, is missing.", file=sys.stderr)
        return []
    options = ["-z", "--cached", "--others", "--exclude-standard"]
    command = ["git", "-C", str(ROOT), "ls-files", *options]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def main(arguments: list[str]) -> int:
    """Print each word to avoid; the exit status is 1 if there is one."""
    rules = read()
    names = [name for name in tracked(arguments) if rules.covers(name)]
    lines = [
        line
        for name in names
        for line in found(name, (ROOT / name).read_text(encoding="utf-8"), rules)
    ]
    print("\n".join(lines), end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
