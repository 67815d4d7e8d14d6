# Sourced by the scripts beside it: how they talk, and how they install.

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Tools that belong to this checkout alone.
TOOLS_DIR=$PWD/.tools
PATH=$TOOLS_DIR/bin:$PATH:/usr/sbin:/sbin

# Where the real client is; the tests look in the same places.
faas_cli() {
    local path
    for path in /usr/local/bin/faas-cli "$HOME/go/bin/faas-cli"; do
        [ -x "$path" ] && say "$path" && return 0
    done
    return 1
}

need_root() {
    [ "$(uname -s)" = Linux ] || die "$1 needs Linux; 'make test-quick' runs what does not"
    [ "$(id -u)" = 0 ] || die "$1 needs root, because it runs real containers; try 'sudo -E make $2', or 'make test-quick'"
}

# need_packages program=package...: installs the Debian packages whose programs are missing.
need_packages() {
    local pair missing=()
    for pair in "$@"; do
        have "${pair%%=*}" || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || die "these are needed and this is not a Debian or Ubuntu machine: ${missing[*]}; install them and run again"
    [ "$(id -u)" = 0 ] || die "these are needed: ${missing[*]}; install them, or run again as root"
    say "installing ${missing[*]}"
    local log=$TOOLS_DIR/apt.log
    mkdir -p "$TOOLS_DIR"
    # A daemon that a package brings must not be started: the tests start their own.
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 5 "$log" >&2
        die "failed to install ${missing[*]}; the whole log is in $log"
    fi
}
