#!/bin/sh
# Makes the seeds again: small ELF files with every way of saying how stacks unwind, and with allocators' names.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/names.c" <<'SOURCE'
#include <stddef.h>
#include <string.h>
static char memory[64];
void *malloc(size_t n) { return n < 64 ? memory : NULL; }
void *calloc(size_t n, size_t m) { return memset(malloc(n * m), 0, n * m); }
void *realloc(void *p, size_t n) { return memmove(malloc(n), p, n); }
int posix_memalign(void **p, size_t a, size_t n) { *p = malloc(n + a); return !*p; }
void free(void *p) { memset(p, 0, 1); }
void *je_mallocx(size_t n, int flags) { return flags ? calloc(n, 1) : malloc(n); }
void *mi_malloc(size_t n) { return malloc(n); }
void *tc_malloc(size_t n) { return malloc(n); }
SOURCE
cat > "$folder/musl.c" <<'SOURCE'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **words) { return puts(strdup(words[0])) + count; }
SOURCE
walk=../src/unwind/tests/walk.c
here="-ffile-prefix-map=$folder=. -ffile-prefix-map=$PWD=."
small='-s -Wl,-z,noseparate-code -Wl,--build-id=none'
# shellcheck disable=SC2086 # several words
{
	cc -O2 -fPIC -shared -nostdlib $small -o seeds/names.so "$folder/names.c"
	cc -O2 $small -o seeds/frames "$walk"
	cc -O0 -fno-omit-frame-pointer -no-pie $small -o seeds/frame-pointers "$walk"
	cc -O1 -g $here -fno-asynchronous-unwind-tables -fno-unwind-tables -fPIC -shared -nostdlib -Wl,-z,noseparate-code \
		-o seeds/debug-frame.so "$folder/names.c"
	cc -O1 -g -gz $here -fno-asynchronous-unwind-tables -fno-unwind-tables -fPIC -shared -nostdlib \
		-Wl,-z,noseparate-code -o seeds/debug-frame-compressed.so "$folder/names.c"
	musl-gcc -O2 -static -Wl,-z,noseparate-code -Wl,--build-id=none -Wl,--strip-debug -o seeds/musl "$folder/musl.c"
	cc -m32 -O2 -fPIC -shared -nostdlib -fno-stack-protector $small -o seeds/x86.so "$folder/names.c"
}
# a file without section headers: e_shoff, e_shnum and e_shstrndx are 0
cp seeds/names.so seeds/no-sections.so
for range in 40:8 60:4; do
	dd if=/dev/zero of=seeds/no-sections.so bs=1 seek="${range%:*}" count="${range#*:}" conv=notrunc 2> "$folder/dd"
done
