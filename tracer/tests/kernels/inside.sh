# Runs in the guest, in the host's files. `plan` was put in front of it: which programs, and which of their tests.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=1 LEAKHOUND_EVERY_RUNG=no RUST_BACKTRACE=0
echo "kernels: kernel $(uname -r)"
"$leakhound" doctor | sed 's/^/kernels: doctor /'
"$unit_tests" --test-threads=1 --exact "${unit[@]}" 2>&1 | grep -E '^test |panicked|^  ' | sed 's/^/kernels: /'
cd "$tracer" || exit
"$live_tests" --test-threads=1 "${live[@]}" 2>&1 | grep -vE '^(running|$)' | sed 's/^/kernels: /'
