"""Install pip into the running environment, if the system's Python cannot do that itself.

Debian's python3 without python3-venv creates an environment without pip. The wheel of pip can be
run directly, so it is enough to fetch it from the index that pip's configuration names.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

_FILES = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")
_LINK = re.compile(
    r'href="(?P<url>[^"#]*/pip-(?P<version>\d+(?:\.\d+)+)-py3-none-any\.whl)#sha256=(?P<sha>\w+)"'
)


def _setting(name: str, default: str) -> str:
    """Return one of pip's global settings: from the environment, else from its files."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    config = configparser.RawConfigParser()
    config.read([*(Path(f).expanduser() for f in _FILES), os.environ.get("PIP_CONFIG_FILE", "")])
    return config.get("global", name, fallback=default)


def _get(url: str) -> bytes:
    context = ssl.create_default_context(cafile=_setting("cert", "") or None)
    try:
        with urllib.request.urlopen(url, timeout=60, context=context) as answer:
            return bytes(answer.read())
    except OSError as error:
        sys.exit(f"error: cannot fetch {url}: {error}")


def _newest(index: str) -> tuple[str, str]:
    """Return the address and digest of the newest pip wheel in the index."""
    page = index.rstrip("/") + "/pip/"
    found = list(_LINK.finditer(_get(page).decode()))
    if not found:
        sys.exit(f"error: no wheel of pip at {page}")
    newest = max(found, key=lambda m: [int(part) for part in m["version"].split(".")])
    return urllib.parse.urljoin(page, newest["url"]), newest["sha"]


def main() -> None:
    """Fetch the wheel, check its digest and let it install itself."""
    index = _setting("index-url", "")
    if not index:
        sys.exit("error: pip's configuration has no index (index-url) from which to fetch pip")
    url, digest = _newest(index)
    wheel = _get(url)
    if hashlib.sha256(wheel).hexdigest() != digest:
        sys.exit(f"error: {url} does not match the index (its SHA-256 differs)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(urllib.parse.urlparse(url).path).name
        path.write_bytes(wheel)
        pip = [sys.executable, str(path / "pip"), "install", "--quiet", "--no-index", str(path)]
        subprocess.run(pip, check=True)


if __name__ == "__main__":
    main()
