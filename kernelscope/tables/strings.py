"""Text columns of a DataFrame, computed once per distinct value and spread over the rows.

pyarrow finds the distinct values and spreads the texts, so a million rows cost no more Python code
than their few hundred process names.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from kernelscope.tables.records import Array

Values = Any  # a numpy array or a pandas extension array

_LONGEST_ALIKE = 64  # bytes of text compared to see whether all rows are the same
_MOST_ALIKE = 1 << 16  # rows of a block that are compared
_TEXT = pd.StringDtype(na_value=np.nan)
# Through a name of this module: pandas-stubs do not have the dtype.
_STRINGS: Callable[..., Values] = pd.arrays.ArrowStringArray


def as_text(rows: Any) -> Values:
    """Return a pandas `str` array of pyarrow's large strings; `pd.array` takes 30 us for that."""
    return _STRINGS(rows, dtype=_TEXT)


def _spread(texts: pa.Array, indices: pa.Array) -> Values:
    """Return a pandas `str` array whose row i is texts[indices[i]]."""
    rows = pa.DictionaryArray.from_arrays(indices, texts.cast(pa.large_string()))
    return as_text(rows.cast(pa.large_string()))


def spell(values: Array, function: Callable[[Any], str]) -> Values:
    """Return `function` of each value as `str`, called once for each distinct one.

    An integer array's values are passed as integers, any other item's as its bytes.
    """
    if values.ndim == 1 and values.dtype.kind in "iu":
        encoded = pa.array(np.ascontiguousarray(values)).dictionary_encode()
    else:
        encoded = _fixed(values).dictionary_encode()
    texts = [function(value) for value in encoded.dictionary.to_pylist()]
    return _spread(pa.array(texts, pa.large_string()), encoded.indices)


def _fixed(values: Array) -> pa.Array:
    """View an array's items as a pyarrow array of fixed-size binary."""
    width = values.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64))
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.binary(width), len(values), [None, data])


def text_of(raw: bytes) -> str:
    r"""Return a C string's text: up to its NUL, bytes that are not UTF-8 as backslash escapes."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _all_alike(values: Array) -> bool:
    """Whether all items are the same bytes; compares eight at a time."""
    width = values.dtype.itemsize
    if values.ndim != 1 or not len(values) or width % 8 or width > _LONGEST_ALIKE:
        return False
    names = [f"f{at}" for at in range(0, width, 8)]
    words = values.view([(name, "<u8") for name in names])
    return all(bool((words[name] == words[name][0]).all()) for name in names)


@lru_cache(maxsize=8)
def _repeated(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.large_string()), count)


def c_strings(values: Array) -> Values:
    """Return the C strings that an array's items are."""
    if len(values) <= _MOST_ALIKE and _all_alike(values):
        # The blocks of one process's events then share one array of its name.
        text = text_of(values[:1].tobytes())
        return as_text(_repeated(text, _MOST_ALIKE)[: len(values)])
    encoded = _fixed(values).dictionary_encode()
    raw = encoded.dictionary.cast(pa.large_binary())
    cut = pyarrow.compute.list_element(pyarrow.compute.split_pattern(raw, b"\0", max_splits=1), 0)
    try:
        return _spread(cut.cast(pa.large_string()), encoded.indices)
    except pa.ArrowInvalid:  # not all of them are UTF-8
        read = [text_of(value) for value in cut.to_pylist()]
        return _spread(pa.array(read, pa.large_string()), encoded.indices)


def as_bytes(values: Array) -> Array:
    """Return the items of `values` as raw bytes, so that `spell` passes them as such."""
    width = values.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64))
    flat: Array = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), width)
    return flat
