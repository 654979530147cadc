#!/usr/bin/env bash
# Makes sure that what a make target needs is installed: ./setup.sh build|test|cluster|fuzz|kernels
# As root on Debian or Ubuntu it installs what is missing; otherwise it prints the command. With nothing missing it takes a
# fraction of a second. Services that come with test programs (redis, nginx ...) are neither started nor enabled.
set -euo pipefail

build=(ca-certificates clang curl g++ gcc libbpf-dev libc6-dev make pkg-config)
test=(bpftool chromium dwz gcc-multilib git jq libgoogle-perftools-dev libjemalloc-dev libmimalloc-dev memcached musl-tools
    nginx-light openjdk-17-jdk-headless poppler-utils postgresql python3 redis-server redis-tools xz-utils)
cluster=(busybox-static conntrack containernetworking-plugins etcd-server iproute2 iptables runc)
kernels=(busybox-static debian-archive-keyring qemu-system-x86 xz-utils)
services=(etcd memcached nginx postgresql redis-server)
deny_version=0.20.2
fuzz_version=0.13.2
node_major=20
go_minor=26

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

missing_of() {
    local package status
    for package in "$@"; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=absent
        [[ $status == installed ]] || echo "$package"
    done
}

# Installs without letting the packages' services run, now or after the next boot.
install_packages() {
    local packages=("$@") policy=/usr/sbin/policy-rc.d service
    say "installing ${packages[*]}"
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap "rm -f $policy" EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
    for service in "${services[@]}"; do
        if [[ " ${packages[*]} " == *" ${service}"* ]]; then
            systemctl disable --quiet "$service" 2>/dev/null || say "could not disable $service: no systemd here"
        fi
    done
}

require_packages() {
    local missing
    command -v dpkg-query >/dev/null || fail "no Debian packages here: install the equivalents of: $*"
    mapfile -t missing < <(missing_of "$@")
    ((${#missing[@]})) || return 0
    ((EUID == 0)) || fail "run: sudo apt-get install ${missing[*]}"
    install_packages "${missing[@]}"
}

# rust-toolchain.toml names the version; rustup fetches it at the first call of cargo.
require_rust() {
    export PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    if ! command -v cargo >/dev/null; then
        say "installing rustup from https://rustup.rs"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none
    fi
    cargo --version >/dev/null || fail "cargo does not run: see https://rustup.rs"
}

require_cargo_tool() {
    local name=$1 version=$2
    [[ $("$name" --version 2>/dev/null) == "$name $version" ]] && return
    say "installing $name $version (some minutes, once)"
    cargo install --quiet --locked "$name@$version"
}

# The cluster's programs are built from Go modules; Debian 12's own Go is too old for them.
require_go() {
    local version
    version=$(go env GOVERSION 2>/dev/null) || fail "install Go 1.$go_minor or newer from https://go.dev/dl"
    [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= go_minor)) && return
    fail "$version is too old: install Go 1.$go_minor or newer from https://go.dev/dl"
}

# Debian 12's own Node is too old to build the page, so npm fetches one beside it.
require_node() {
    local wanted=target/node/node_modules/node/bin major
    major=$(PATH=$PWD/$wanted:$PATH node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || major=0
    ((major >= node_major)) && return
    command -v npm >/dev/null || require_packages npm
    say "installing Node $node_major below target/node"
    npm install --silent --no-audit --no-fund --prefix target/node "node@$node_major"
}

cd "$(dirname "$0")"
case ${1:-} in
build)
    require_packages "${build[@]}"
    require_rust
    ;;
test)
    require_packages "${build[@]}" "${test[@]}" "${cluster[@]}"
    require_rust
    require_go
    require_cargo_tool cargo-deny "$deny_version"
    require_node
    ;;
cluster)
    require_packages "${build[@]}" "${cluster[@]}"
    require_rust
    require_go
    ;;
fuzz)
    require_packages "${build[@]}"
    require_rust
    require_cargo_tool cargo-fuzz "$fuzz_version"
    ;;
kernels)
    require_packages "${build[@]}" "${kernels[@]}"
    require_rust
    ;;
*) fail "usage: ./setup.sh build|test|cluster|fuzz|kernels" ;;
esac
