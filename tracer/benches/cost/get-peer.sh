#!/usr/bin/env bash
# Fetches libbpf-tools' memleak from Debian 13 into a folder, with the libraries it was built with, and installs nothing.
#   get-peer.sh FOLDER    makes FOLDER/memleak
set -euo pipefail
folder=$(realpath -m "$1")
[ -x "$folder/memleak" ] && exit 0
mkdir -p "$folder"/{sources,lists/partial,cache/archives/partial,root}
mirror=$(grep -rhoP '^(URIs:|deb( \[[^]]*\])?) +\K\S+' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)
[ -n "$mirror" ] || { echo "get-peer.sh: no Debian mirror in /etc/apt: the peer comes from there" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
	"$mirror" >"$folder/sources/trixie.sources"
apt=(apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$folder/sources" -o Dir::State::lists="$folder/lists"
	-o Dir::Cache="$folder/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update
(cd "$folder" && "${apt[@]}" download libbpf-tools libc6 libelf1t64 zlib1g libzstd1)
for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
program=$(find "$folder/root" -type f -name 'memleak*' | head -n 1)
libraries=$folder/root/usr/lib/x86_64-linux-gnu
printf '#!/bin/sh\nexec %s/ld-linux-x86-64.so.2 --library-path %s %s "$@"\n' "$libraries" "$libraries" "$program" >"$folder/memleak"
chmod +x "$folder/memleak"
