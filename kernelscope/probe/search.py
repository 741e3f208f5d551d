"""Finds probes by what people ask: "slow disk", "who opens files", "which process uses network".

A word counts by how few probes have it and by where they have it: a keyword says more than a
remark in the description. Words are compared by their stems, and synonyms count at a discount.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kernelscope.errors import ParameterError, did_you_mean
from kernelscope.probe import catalogue
from kernelscope.probe.model import Probe
from kernelscope.text import html_table, table

MOST = 10
_WEIGHTS = {
    "name": 5.0,
    "keyword": 4.0,
    "summary": 3.0,
    "area": 2.0,
    "column": 1.5,
    "description": 1.0,
}
_SYNONYM = 0.55
_WHOLE_KEYWORD = 3.0  # for a keyword of which the question has every word
_LEAST_SHARE = 0.25  # of the best match's score: what is below is there by chance

_SAYS_NOTHING = (
    "a about all an and are at be been by can did do does doing every for from get gets give go "
    "happen has have how i in into is it its lot lots many me most much my of on or our show some "
    "take than that the their them there they thing this through to up was were what when where "
    "which while who whom whose why will with without you your"
)
_IGNORED = frozenset(_SAYS_NOTHING.split())
_FORMS = {"uses": "use", "used": "use", "using": "use", "written": "write", "lost": "loss"}
_SAME = (
    "disk storage block drive ssd nvme hdd io i/o",
    "slow latency delay lag slowness duration",
    "network net tcp socket connection internet",
    "packet network",
    "traffic bandwidth throughput bytes download upload",
    "memory ram heap allocation malloc",
    "cpu processor core",
    "process program command application app",
    "start launch exec execute run spawn",
    "kill signal terminate die",
    "end exit finish stop die",
    "lock mutex futex contention",
    "delete remove unlink rm",
    "dns resolve resolver hostname lookup getaddrinfo",
    "error fail failure failed errno",
    "permission privilege capability root sudo",
    "listen port bind server",
    "cache hit miss",
    "busy usage use load hot consume",
    "wait block sleep stall hang idle",
    "function call symbol",
    "thread task",
    "fault page",
    "flush sync fsync writeback",
    "interrupt irq softirq hardirq",
    "ssl tls https openssl",
    "garbage gc collector",
    "create new make fork",
    "drop lost discard loss",
    "retransmit resend loss",
    "connect outgoing client",
    "accept incoming inbound",
    "module driver kmod insmod",
    "debug ptrace gdb strace attach",
    "leak grow outstanding",
)


@dataclass(frozen=True)
class Match:
    """A probe that may answer the question. why: what of it matched, the weightiest first."""

    name: str
    summary: str
    why: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class Matches(Sequence[Match]):
    """What a search found, the best first. close: words of probes that look like those asked."""

    question: str
    found: tuple[Match, ...]
    close: tuple[str, ...] = ()

    def __getitem__(self, index: int) -> Match:  # type: ignore[override]
        return self.found[index]

    def __len__(self) -> int:
        return len(self.found)

    def _nothing(self) -> str:
        near = f" Near it are: {', '.join(self.close)}." if self.close else ""
        return f"No probe is about {self.question!r}.{near} %ebpf, or kernelscope list, shows all."

    def __repr__(self) -> str:
        if not self.found:
            return self._nothing()
        rows = [(match.name, f"{match.summary} ({', '.join(match.why)})") for match in self.found]
        return table(("probe", "summary (what matched)"), rows)

    def _repr_html_(self) -> str:
        if not self.found:
            return f"<p>{html.escape(self._nothing())}</p>"
        rows = [
            [f"<code>{m.name}</code>", html.escape(m.summary), html.escape(", ".join(m.why))]
            for m in self.found
        ]
        return html_table(("probe", "summary", "what matched"), rows)


def search(*words: str) -> Matches:
    """Find built-in probes by a question or some words of it: search("who opens files")."""
    question, pages = " ".join(words), _pages()
    asked = _corrected(stems(question), pages)
    rarity = _rarity(pages, asked)
    matches = [page.match(asked, rarity) for page in pages]
    said = re.findall(r"\w+", question.lower())
    found = sorted(
        (match for match in matches if match.score > 0),
        key=lambda match: (match.name not in said, -match.score, match.name),
    )
    best = max((match.score for match in found), default=0.0)
    kept = tuple(match for match in found if match.score >= best * _LEAST_SHARE)[:MOST]
    return Matches(question, kept, () if kept else _close(pages, question))


@lru_cache(maxsize=1)
def _pages() -> tuple[_Page, ...]:
    return tuple(_Page(probe) for probe in catalogue.catalogue().values())


class _Page:
    """A probe's words by where they stand."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        columns = [c for table in probe.tables for c in table.columns]
        self.keywords = {word: stems(word) for word in probe.keywords}
        self.texts: dict[str, list[str]] = {
            "name": [probe.name],
            "area": [probe.area],
            "keyword": list(probe.keywords),
            "summary": [probe.summary],
            "column": [f"{c.name.replace('_', ' ')} {c.help}" for c in columns]
            + [f"{p.name} {p.help}" for p in probe.parameters]
            + [table.help for table in probe.tables],
            "description": [probe.description],
        }
        self.stems = {where: stems(" ".join(texts)) for where, texts in self.texts.items()}
        self.all = frozenset().union(*self.stems.values())

    def match(self, asked: frozenset[str], rarity: Mapping[str, float]) -> Match:
        """Return how well the probe fits and why."""
        reasons: dict[str, float] = {}
        total, hits = 0.0, 0
        for word in asked:
            value, where = max(self._value(word, place) for place in _WEIGHTS)
            if value:
                hits += 1
                total += value * rarity[word]
                reason = self._reason(word, where)
                reasons[reason] = reasons.get(reason, 0.0) + value * rarity[word]
        for keyword, words in self.keywords.items():
            if words and words <= asked:
                bonus = _WHOLE_KEYWORD * len(words)
                total += bonus
                reasons[f"keyword {keyword}"] = reasons.get(f"keyword {keyword}", 0.0) + bonus
        total *= hits / len(asked) if asked else 0
        why = sorted(reasons, key=lambda reason: -reasons[reason])[:3]
        return Match(self.probe.name, self.probe.summary, tuple(why), total)

    def _value(self, word: str, where: str) -> tuple[float, str]:
        there = self.stems[where]
        if word in there:
            return _WEIGHTS[where], where
        return (_WEIGHTS[where] * _SYNONYM if synonyms(word) & there else 0.0), where

    def _reason(self, word: str, where: str) -> str:
        """Return what matched: the keyword, or the word as it is in the text."""
        wanted = {word} if word in self.stems[where] else synonyms(word)
        for text in self.texts[where]:
            if where == "keyword" and stems(text) & wanted:
                return f"keyword {text}"
            for found in re.findall(r"[\w/]+", text):
                if stem(found.lower()) in wanted:
                    return f"{where} {found.lower()}"
        return where


def _rarity(pages: Sequence[_Page], asked: Iterable[str]) -> dict[str, float]:
    """Return for each word how much it tells: little where most probes have it."""
    having = {word: sum(word in page.all for page in pages) for word in asked}
    return {word: math.log(1 + len(pages) / (1 + count)) for word, count in having.items()}


def _corrected(asked: frozenset[str], pages: Sequence[_Page]) -> frozenset[str]:
    """Replace a word that no probe has by the closest one that exists."""
    known = frozenset().union(*(page.all for page in pages))
    return frozenset(
        word
        if word in known or synonyms(word) & known or len(word) < 4
        else next(iter(did_you_mean(word, sorted(known))), word)
        for word in asked
    )


def _close(pages: Sequence[_Page], question: str) -> tuple[str, ...]:
    words = {
        word.lower()
        for page in pages
        for where in ("name", "keyword", "summary")
        for text in page.texts[where]
        for word in re.findall(r"\w{3,}", text)
    }
    near = [did_you_mean(word, sorted(words)) for word in re.findall(r"\w+", question.lower())]
    return tuple(dict.fromkeys(word for matches in near for word in matches))[:5]


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words, those left out that say nothing."""
    words = re.findall(r"[a-z0-9]+(?:/[a-z0-9]+)*", text.lower())
    return frozenset(stem(word) for word in words if word not in _IGNORED)


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """Return what a word's forms have in common, roughly: opens, opened, opening -> open."""
    word = _FORMS.get(word, word)
    for ending in ("iest", "ies", "ing", "est", "ed", "es", "er", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


@lru_cache(maxsize=4096)
def synonyms(word: str) -> frozenset[str]:
    """Return the stems that may stand for a stem."""
    groups = [frozenset(map(stem, group.split())) for group in _SAME]
    return frozenset().union(*(group for group in groups if word in group)) - {word}


def asked(question: str, *, prog: str) -> Matches:
    """Find what a command line asks for. Raises ParameterError where it asks nothing."""
    if not question.strip():
        raise ParameterError("search for what?", hint=f"{prog} slow disk", name="search")
    return search(question)
