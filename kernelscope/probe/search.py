"""Finds probes by what people ask: "slow disk", "who opens files", "which process uses network".

A question is compared with the phrases of each probe: the questions that it answers, its keywords
and its summary. Words count by how few probes have them; words are compared by their stems, and
synonyms count at a discount (`words`). The rest of the description decides between equal phrases.
Below a minimum score nothing fits well, and the answer reports that.
"""

from __future__ import annotations

import difflib
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kernelscope.errors import ParameterError, did_you_mean
from kernelscope.probe import catalogue
from kernelscope.probe.model import Probe
from kernelscope.probe.words import is_ignored, stem, stems, synonyms, words
from kernelscope.text import html_table, table

MOST = 10
_SYNONYM = 0.6
_COVERAGE, _PRECISION = 0.7, 0.3  # exponents of the shares of the question and of the phrase
# What a phrase counts, by where it is; and the share of the question that a whole text has.
_PHRASES = {"answers": 1.0, "keyword": 0.9, "summary": 0.8}
_TEXTS = {"name": 1.0, "area": 0.4, "column": 0.35, "description": 0.3}
_SHARE_OF_TEXTS = 0.25  # of the score; the phrases have the rest
_FITS = 0.4  # a lower score is no answer
_LEAST_SHARE = 0.45  # of the best match's score: what is below is there by chance
_ORDINARY = frozenset(("loads", "top"))  # tools whose names are ordinary words
_UNKNOWN = 2.5  # weight of a word that no probe has; a word of a single probe has 3.8
_SHORTEST_CORRECTED = 5  # letters; a shorter unknown word is not taken for a misspelt one


@dataclass(frozen=True)
class Match:
    """A probe that may answer the question. why: what matched. score: 0 to about 1."""

    name: str
    summary: str
    why: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class Matches(Sequence[Match]):
    """What a search found, the best first. close: names and keywords that look like the words.

    Empty where nothing fits well. run, show: the commands that take a probe's name.
    """

    question: str
    found: tuple[Match, ...]
    close: tuple[str, ...] = ()
    run: str = "%ebpf"
    show: str = "%ebpf show"

    def __getitem__(self, index: int) -> Match:  # type: ignore[override]
        return self.found[index]

    def __len__(self) -> int:
        return len(self.found)

    def _nothing(self) -> str:
        near = f" Close words: {', '.join(self.close)}." if self.close else ""
        return (
            f"Nothing fits {self.question!r} well.{near}"
            " %ebpf, or kernelscope list, shows all probes."
        )

    def _start(self) -> str:
        best = self.found[0].name
        return f"Start with: {self.run} {best} ({self.show} {best} describes it)."

    def __repr__(self) -> str:
        if not self.found:
            return self._nothing()
        rows = [(match.name, f"{match.summary} ({', '.join(match.why)})") for match in self.found]
        return f"{table(('probe', 'summary (what matched)'), rows)}\n\n{self._start()}"

    def _repr_html_(self) -> str:
        if not self.found:
            return f"<p>{html.escape(self._nothing())}</p>"
        rows = [
            [f"<code>{m.name}</code>", html.escape(m.summary), html.escape(", ".join(m.why))]
            for m in self.found
        ]
        listed = html_table(("probe", "summary", "what matched"), rows)
        return f"{listed}<p>{html.escape(self._start())}</p>"


def search(*question_words: str) -> Matches:
    """Find built-in probes by a question or some words of it: search("who opens files").

    Names of bcc's and bpftrace's tools find the probe that does what the tool does.
    """
    question = " ".join(question_words)
    pages = _pages()
    named = _named(question, pages)
    corrected = _corrected(words(question))
    asked = stems(" ".join(corrected))
    rarity = _rarity(pages, asked)
    said = f" {' '.join(corrected)} "
    others = [page for page in pages if page.probe.name not in named]
    scored = [page.match(asked, said, rarity) for page in others]
    best = max((match.score for match in scored), default=0.0)
    least = max(_FITS, best * _LEAST_SHARE)
    ranked = sorted(
        (match for match in scored if match.score >= least), key=lambda m: (-m.score, m.name)
    )
    found = (*named.values(), *ranked)[:MOST]
    return Matches(question, found, () if found else _close(pages, question))


@lru_cache(maxsize=1)
def _pages() -> tuple[_Page, ...]:
    return tuple(_Page(probe) for probe in catalogue.catalogue().values())


def _named(question: str, pages: Sequence[_Page]) -> dict[str, Match]:
    """Return the probes that the question names, or whose like in other collections it names."""
    asked = {word.removesuffix(".bt") for word in question.lower().replace("?", " ").split()}
    if len(asked) > 1:
        asked -= _ORDINARY
    found = {}
    for page in pages:
        probe = page.probe
        if probe.name in asked:
            found[probe.name] = Match(probe.name, probe.summary, (f"name {probe.name}",), 1.0)
        elif tools := sorted(asked.intersection(probe.tools)):
            found[probe.name] = Match(
                probe.name, probe.summary, (f"does what {tools[0]} does",), 1.0
            )
    return found


class _Page:
    """A probe's phrases and words."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        columns = [c for spec in probe.tables for c in spec.columns]
        self.phrases = [
            *(("answers", phrase) for phrase in probe.answers),
            *(("keyword", phrase) for phrase in probe.keywords),
            ("summary", probe.summary),
        ]
        self.phrase_stems = [stems(phrase) for _, phrase in self.phrases]
        self.phrase_words = [words(phrase) for _, phrase in self.phrases]
        texts = {
            "name": probe.name,
            "area": probe.area,
            "column": " ".join(
                [f"{c.name.replace('_', ' ')} {c.help}" for c in columns]
                + [f"{p.name} {p.help}" for p in probe.parameters]
                + [spec.help for spec in probe.tables]
            ),
            "description": probe.description,
        }
        self.texts = {where: stems(text) for where, text in texts.items()}
        self.all = frozenset().union(*self.phrase_stems, *self.texts.values())
        self.words = frozenset(word for text in texts.values() for word in words(text)).union(
            *self.phrase_words
        )

    def match(self, asked: frozenset[str], said: str, rarity: Mapping[str, float]) -> Match:
        """Return how well the probe fits and why. said: the question's words between spaces."""
        scores = [
            1.0
            if (len(spoken) > 2 or not phrase) and f" {' '.join(spoken)} " in said
            else _PHRASES[where] * _similarity(asked, phrase, rarity)
            for (where, _), phrase, spoken in zip(
                self.phrases, self.phrase_stems, self.phrase_words, strict=True
            )
        ]
        order = sorted(range(len(scores)), key=lambda at: -scores[at])
        top = [scores[at] for at in order[:3]]
        phrases = top[0] + 0.12 * sum(top[1:])
        whole = sum(rarity[word] for word in asked) or 1.0
        text = sum(self._in_texts(word) * rarity[word] for word in asked) / whole
        score = (1 - _SHARE_OF_TEXTS) * phrases + _SHARE_OF_TEXTS * text
        score += asked >= self.texts["name"]  # also a corrected one
        why = [
            f"{self.phrases[at][0]} {self.phrases[at][1]}" for at in order[:2] if scores[at] > 0.3
        ]
        return Match(self.probe.name, self.probe.summary, tuple(why) or ("description",), score)

    def _in_texts(self, word: str) -> float:
        if any(word in phrase for phrase in self.phrase_stems):
            return 1.0
        others = synonyms(word)
        return max(
            weight * (1.0 if word in self.texts[where] else _SYNONYM)
            if word in self.texts[where] or others & self.texts[where]
            else 0.0
            for where, weight in _TEXTS.items()
        )


def _similarity(
    asked: frozenset[str], phrase: frozenset[str], rarity: Mapping[str, float]
) -> float:
    """Return how much two sets of words have in common, 0 to 1: the cosine of their weights."""
    if not asked or not phrase:
        return 0.0
    shared = covered = 0.0
    for word in asked:
        weight = rarity[word] ** 2
        if word in phrase:
            shared += weight
            covered += weight
        elif others := synonyms(word) & phrase:
            shared += _SYNONYM * weight
            covered += max(rarity.get(other, 1.0) for other in others) ** 2 * _SYNONYM
    whole = sum(rarity[word] ** 2 for word in asked)
    other = sum(rarity.get(word, 1.0) ** 2 for word in phrase)
    return (
        (shared / whole) ** _COVERAGE * min(1.0, covered / other) ** _PRECISION
        if whole and other
        else 0.0
    )


def _rarity(pages: Sequence[_Page], asked: Iterable[str]) -> dict[str, float]:
    """Return for each word how much it says: little where most probes have it."""
    having = {word: sum(word in page.all for page in pages) for word in asked}
    known = _known_rarity()
    return {
        **known,
        **{word: _UNKNOWN for word, count in having.items() if not count},
        **{word: known[word] for word, count in having.items() if count},
    }


@lru_cache(maxsize=1)
def _known_rarity() -> dict[str, float]:
    pages = _pages()
    having: dict[str, int] = {}
    for page in pages:
        for word in page.all:
            having[word] = having.get(word, 0) + 1
    return {word: math.log(1 + len(pages) / (1 + count)) for word, count in having.items()}


def _corrected(question: Sequence[str]) -> list[str]:
    """Replace words that no probe has by words that differ in a letter or two."""
    known, vocabulary = _vocabulary()
    corrected = []
    for word in question:
        found = {stem(word), *synonyms(stem(word))} & known or is_ignored(word)
        if not found and len(word) >= _SHORTEST_CORRECTED:
            word = _closest(word, vocabulary)
        corrected.append(word)
    return corrected


def _closest(word: str, vocabulary: Sequence[str]) -> str:
    """Return a word of the same letters in another order, else one with few other letters."""
    alike = [each for each in vocabulary if each[0] == word[0] and abs(len(each) - len(word)) < 3]
    swapped = [each for each in alike if sorted(each) == sorted(word)]
    return next(iter(swapped or difflib.get_close_matches(word, alike, 1, 0.87)), word)


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the stems and the words of all probes."""
    known = frozenset().union(*(page.all for page in _pages()))
    return known, tuple(sorted(frozenset().union(*(page.words for page in _pages()))))


def _close(pages: Sequence[_Page], question: str) -> tuple[str, ...]:
    known = {
        word
        for page in pages
        for text in (page.probe.name, page.probe.summary, *page.probe.keywords)
        for word in words(text)
        if len(word) >= 3
    }
    near = [did_you_mean(word, sorted(known)) for word in words(question)]
    return tuple(dict.fromkeys(word for matches in near for word in matches))[:5]


def asked(question: str, *, prog: str) -> Matches:
    """Find what a command line asks for. Raises ParameterError for an empty question."""
    if not question.strip():
        raise ParameterError("search for what?", hint=f"{prog} slow disk", name="search")
    return search(question)
