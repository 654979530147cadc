# Runs in the guest, in the host's files. `plan` was put in front of it: which programs, and which of their tests.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=1 LEAKHOUND_EVERY_RUNG=no RUST_BACKTRACE=0
echo # whatever the firmware left on this line
echo "kernels: kernel $(uname -r)"
"$leakhound" doctor | sed 's/^/kernels: doctor /'
# Debian's kernels have them: the test of frees in bulk must not pass for want of them.
if [ -d /sys/bus/event_source/devices/kprobe ]; then has=ok; else has=no; fi
echo "kernels: doctor   $has       kprobes: kernel mode sees frees in bulk as well"
cd "$tracer" || exit

# A process for each test, so that one which hangs takes nothing along.
run() {
    local program=$1 test=$2 before=$SECONDS status
    timeout "$limit_of_test" "$program" --test-threads=1 --exact "$test" >/tmp/out 2>&1
    status=$?
    grep '^test .* \.\.\. ' /tmp/out | sed 's/^/kernels: /'
    # why it failed, with what the kernel's verifier said last
    [ $status = 0 ] || sed -n '/panicked/,/^note:/p' /tmp/out | tail -n 40 | cut -c1-1000 | sed 's/^/kernels: /'
    [ $status = 124 ] && echo "kernels: test $test ... over time"
    echo "kernels: $test took $((SECONDS - before)) s"
}
for test in "${unit[@]}"; do run "$unit_tests" "$test"; done
for test in "${live[@]}"; do run "$live_tests" "$test"; done
