# The machine sleeps, with its memory powered and all else off: for going no time has
# passed, and everything goes on where it was.

service steady <<'END'
cmd=sleep 100000
END
service held <<'END'
cmd=false
backoff=10s
backoff-max=10s
jitter=0
END
service slow <<'END'
cmd=sh -c 'trap "" TERM; echo >/tmp/deaf; while :; do sleep 0.1; done'
stop=TERM 10s KILL
END
start_going
steady=$(pid_of steady)
wait_until "test -e /tmp/deaf"
wait_until "goingctl status held | grep -q quarantined"
next() {
	goingctl status --json held | sed -n 's/.*"next_ms": *\([0-9]*\).*/\1/p' | head -n 1
}
goingctl stop --no-wait slow >/dev/null
before=$(next)
begun=$(date +%s)
echo +12 >/sys/class/rtc/rtc0/wakealarm
echo mem >/sys/power/state
slept=$(($(date +%s) - begun))
test $slept -ge 9 || fail "it slept for $slept s only"
after=$(next)
# As if it were the same moment.
test "$after" -gt 0 -a "$after" -le "$before" || fail "held is due in $after ms, was in $before"
test $((before - after)) -lt 6000 || fail "the quarantine passed asleep: $before, $after"
goingctl status slow | grep -q stopping || fail "the stop was not waited for"
test "$(pid_of steady)" = "$steady" || fail "steady was started anew"
wait_until 'grep -q "slow: still running 10s after SIGTERM, sending SIGKILL" /tmp/report'
wait_until "grep -q 'held terminated .*strike 2' /tmp/report"
test "$(pid_of steady)" = "$steady" || fail "steady was started anew"
stop_going
