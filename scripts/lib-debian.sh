#!/usr/bin/env bash
# Downloads Debian's kernel packages of any suite and architecture, without installing anything. Other scripts source this file.
# They set $work to a temporary directory, and remove it in a trap.

say() { echo "${0##*/}: $*" >&2; }

# Prints the address of the mirror to download from: DEBIAN_MIRROR, or the system's own.
mirror() {
    local own
    # shellcheck disable=SC2016 # The $(…) are apt's own placeholders.
    own=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 == "Debian" { print $2; exit }')
    if [[ -z ${DEBIAN_MIRROR:-$own} ]]; then
        say "this system's sources have no Debian mirror; name one with DEBIAN_MIRROR"
        return 1
    fi
    echo "${DEBIAN_MIRROR:-$own}"
}

# apt $tool (apt-get, apt-cache) with a state of its own, for another suite and architecture than the system's.
private_apt() {
    local state=$1 arch=$2 tool=$3
    shift 3
    # No locking and no sandbox user: the state is ours alone and may lie where the user "_apt" cannot read.
    # Old suites and snapshots carry a validity date that has passed.
    "$tool" -o Dir::State="$state/state" -o Dir::State::Lists="$state/lists" \
        -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
        -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null \
        -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User= \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::Check-Valid-Until=false -o Debug::NoLocking=true "$@"
}

# Makes the private apt state for a suite and an architecture, once, and prints its directory.
apt_state() {
    # shellcheck disable=SC2154 # $work is the caller's.
    local suite=$1 arch=$2 state=$work/apt-$1-$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [[ ! -e $state/ready ]]; then
        if [[ ! -e $keyring ]]; then
            say "$keyring is missing: install the package debian-archive-keyring"
            return 1
        fi
        local from
        from=$(mirror) || return 1
        mkdir -p "$state"/{state,lists/partial,cache/archives/partial}
        : >"$state/status"
        echo "deb [signed-by=$keyring] $from $suite main" >"$state/sources.list"
        if ! private_apt "$state" "$arch" apt-get update -qq -o APT::Update::Error-Mode=any >&2; then
            say "$suite/$arch: no package list from $from; DEBIAN_MIRROR names another mirror"
            return 1
        fi
        touch "$state/ready"
    fi
    echo "$state"
}

# Downloads a package into the directory $dir and prints its path.
download() {
    local suite=$1 arch=$2 package=$3 dir=$4 state
    state=$(apt_state "$suite" "$arch") || return 1
    if ! (cd "$dir" && private_apt "$state" "$arch" apt-get download -qq "$package" >&2); then
        say "$package is not in $suite any more: set DEBIAN_MIRROR (see --help) or name a newer kernel in $0"
        return 1
    fi
    ls "$dir"/*.deb
}

# Says which of the tools named are missing, and fails if any is.
require() {
    local tool missing=()
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    if ((${#missing[@]})); then
        say "missing: ${missing[*]} (scripts/setup installs what can be installed; apt-get needs Debian or Ubuntu)"
        return 1
    fi
}
