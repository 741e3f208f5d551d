# shellcheck shell=bash
# Functions shared by the scripts. Limited to bash 3.2, which other systems have, and needs nothing
# but a shell, so that it can report what is missing if nothing else is installed.

KS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
KS_VENV=$KS_ROOT/.venv
export KS_ROOT KS_VENV

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $1"
    shift
    for line in "$@"; do say "  $line"; done
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command as root: directly, or through sudo without a password.
as_root() {
    if is_root; then "$@"; else sudo -n "$@"; fi
}

can_be_root() { is_root || { command -v sudo && sudo -n true; } >/dev/null 2>&1; }

# Prints ID and ID_LIKE of the distribution ("ubuntu debian"), or nothing.
distribution() {
    # shellcheck disable=SC1091
    if [ -r /etc/os-release ]; then (. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}"); fi
}

# Prints the command that installs the packages needed from the distribution.
install_command() {
    case " $(distribution) " in
        *" debian "* | *" ubuntu "*) echo "apt-get install python3 python3-venv python3-bpfcc ca-certificates" ;;
        *" fedora "* | *" rhel "*) echo "dnf install python3 python3-bcc" ;;
        *" arch "*) echo "pacman -S python python-bcc" ;;
        *" alpine "*) echo "apk add bash python3 py3-bcc bcc" ;;
        *) echo "" ;;
    esac
}

# Prints the first Python that is new enough, or fails. PYTHON is tried first.
find_python() {
    for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# Prints which of the named Debian packages are not installed.
missing_packages() {
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            "install ok installed") ;;
            *) echo "$package" ;;
        esac
    done
}

# Installs missing Debian packages, quietly. Fails if it cannot.
install_packages() {
    local missing log
    missing=$(missing_packages "$@" | tr '\n' ' ')
    if [ -z "${missing// /}" ]; then return 0; fi
    if ! can_be_root; then return 1; fi
    say "Installing the packages: $missing"
    log=$(mktemp)
    # shellcheck disable=SC2086  # a list of names
    if as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get -q update &&
        apt-get -qy -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"' install $missing \
        >"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    tail -n 15 "$log" >&2
    rm -f "$log"
    return 1
}
