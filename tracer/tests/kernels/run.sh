#!/usr/bin/env bash
# Boots kernels that Debian offers in QEMU, runs tests on each, and writes what passed to docs/kernels.md.
#   run.sh UNIT_TESTS LIVE_TESTS LEAKHOUND      the programs that cargo built
# The guest sees this machine's files read-only, so a test compiles and runs there what it does here. Emulated in software, a kernel
# takes a quarter of an hour; SECONDS_EACH=3600 bounds a kernel, SECONDS_A_TEST=600 each of its tests.
set -euo pipefail
cd "$(dirname "$0")/../../.."
programs=("$@")
here=tracer/tests/kernels
work=$PWD/target/kernels
limit=${SECONDS_EACH:-3600}
limit_of_test=${SECONDS_A_TEST:-600}
release=bookworm
report=docs/kernels.md

unit=(growth::tests::fresh_pages_of_our_own_are_seen kernel_memory::tests::what_our_pipes_take_is_seen
    kernel_memory::tests::frees_in_bulk_are_seen_wherever_the_kernel_has_kprobes
    unwind::tests::kernel::the_kernel_walks_every_kind_of_frame)
# At least one for each way of attaching, each mode and each way to end; all of them would take hours in emulation.
live=(kernel::pipes_kept_open_are_a_leak_with_a_path endings::a_target_that_is_attached_to_lives_on
    growth::pages_that_are_kept_are_told_from_pages_given_back
    closed_loop::stacks_without_frame_pointers_reach_the_outermost_function
    endings::a_target_killed_in_the_middle_leaves_its_numbers kernel::the_whole_machine_is_watched_without_ourselves
    closed_loop::four_threads_come_out_even_on_every_rung)
modules=(virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p overlay)

say() { printf 'kernels: %s\n' "$*" >&2; }

# Package lists and packages of our own: the machine's stay as they are.
apt() {
    local command=$1
    shift
    "apt-$command" -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o APT::Sandbox::User=root "$@"
}

# Prints the folder of the newest kernel of a suite.
fetch() {
    local suite=$1 package folder
    package=$(apt cache show "linux-image-amd64/$suite" | sed -n 's/^Depends: \(linux-image-[^ ]*\).*/\1/p' | head -1)
    folder=$work/${package#linux-image-}
    if [[ ! -d $folder ]]; then
        say "fetching $package"
        (cd "$work" && apt get download "$package/$suite")
        dpkg-deb -x "$work/${package}"_*.deb "$folder.part"
        mv "$folder.part" "$folder"
    fi
    echo "$folder"
}

initramfs() {
    local kernel=$1 root=$1/initramfs name file
    rm -rf "$root"
    mkdir -p "$root"/{bin,proc,sys,dev,modules}
    cp /bin/busybox "$root/bin/"
    install -m 755 "$here/init" "$root/init"
    {
        printf 'unit_tests=%q live_tests=%q leakhound=%q tracer=%q\n' "${programs[@]}" "$PWD/tracer"
        printf 'unit=(%s)\nlive=(%s)\nlimit_of_test=%s\n' "${unit[*]}" "${live[*]}" "$limit_of_test"
        cat "$here/inside.sh"
    } >"$root/inside.sh"
    for name in "${modules[@]}"; do
        file=$(find "$kernel/lib/modules" -name "$name.ko*" -print -quit)
        case $file in
        '') continue ;; # built in
        *.xz) xz -dc "$file" >"$root/modules/$name.ko" ;;
        *) cp "$file" "$root/modules/$name.ko" ;;
        esac
        echo "$name.ko" >>"$root/modules/order"
    done
    (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$kernel/initramfs.gz"
}

boot() {
    local kernel=$1
    timeout --foreground "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 3G -nographic -no-reboot \
        -kernel "$kernel"/boot/vmlinuz-* -initrd "$kernel/initramfs.gz" \
        -append 'console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off random.trust_cpu=on' \
        -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
        </dev/null | stdbuf -oL tr -d '\r' | tee "$kernel/console" | grep --line-buffered '^kernels: ' >&2 || true
}

# Markdown from what a kernel printed.
section() {
    local console=$1/console
    sed -n 's/^kernels: kernel /\n## /p' "$console"
    printf '\n```\n'
    sed -n 's/^kernels: doctor //p' "$console" | grep -E '^  (ok|no) |^(Modes|Ways)'
    printf '```\n\n| test | | seconds |\n|---|---|---|\n'
    awk '/^kernels: test .* \.\.\. /{result[$3] = substr($0, index($0, " ... ") + 5)}
        / took [0-9]+ s$/{printf "| `%s` | %s | %s |\n", $2, result[$2] ? result[$2] : "failed to run", $4}' "$console"
    grep -q '^kernels: end' "$console" || printf '\nIt did not get to the end within %s s.\n' "$limit"
}

mkdir -p "$work/lists/partial"
for suite in $release $release-backports; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main"
done >"$work/sources.list"
apt get update
rm -f "$work/sections.md"
for suite in $release $release-backports; do
    kernel=$(fetch "$suite")
    initramfs "$kernel"
    say "booting ${kernel##*/}"
    boot "$kernel"
    section "$kernel" >>"$work/sections.md"
done
{ sed '/^## /,$d' "$report" && cat "$work/sections.md"; } | cat -s >"$work/report.md"
cp "$work/report.md" "$report"
say "see $report"
! grep -E '\| (FAILED|failed to run|over time) \||did not get|^  no +kprobes' "$report" >&2
