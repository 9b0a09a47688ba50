# The clock is set by decades, forth and back: no run, no quarantine and no period is
# any longer or shorter for it.

service steady <<'END'
cmd=sleep 100000
min-uptime=5s
END
service held <<'END'
cmd=false
backoff=30s
backoff-max=30s
jitter=0
END
service again <<'END'
type=oneshot
cmd=sh -c 'echo >>/tmp/again'
every=20s
END
start_going
steady=$(pid_of steady)
wait_until "goingctl status held | grep -q quarantined"
up() {
	awk '{ print int($1) }' /proc/uptime
}
strikes() {
	goingctl status --json held | sed -n 's/.*"strikes": *\([0-9]*\).*/\1/p' | head -n 1
}
begun=$(up)
now=$(date +%s)
for year in 2046 2006 1971 2037; do
	date -s "$year-01-01 00:00:00" >/dev/null
	test "$(date +%Y)" = $year || fail "the clock is not set"
	# It answers, and nothing has happened.
	goingctl ping >/dev/null
	test "$(pid_of steady)" = "$steady" || fail "steady was started anew in $year"
	test "$(strikes)" = 1 || fail "held was let go in $year"
	# Something new starts, and dies, and is started again.
	service "new-$year" <<'END'
cmd=sleep 100000
min-uptime=0
END
	pid=$(pid_of "new-$year")
	kill "$pid"
	wait_until "test \$(pid_of new-$year) != $pid"
	goingctl restart "new-$year" >/dev/null
	goingctl stop "new-$year" >/dev/null
done
test $(($(up) - begun)) -lt 28 || fail "this machine is too slow for this test"
date -s "@$now" >/dev/null
# Killed in the wrong century, it is followed by one that knows when all is due.
kill -9 "$going"
wait "$going" || :
date -s "2046-01-01 00:00:00" >/dev/null
start_going
test "$(pid_of steady)" = "$steady" || fail "steady was started anew by the next going"
wait_until "test \$(strikes) = 2"
test $(($(up) - begun)) -ge 29 || fail "held was let go after $(($(up) - begun)) s"
test $(($(up) - begun)) -lt 45 || fail "held was let go after $(($(up) - begun)) s"
runs=$(wc -l </tmp/again)
test "$runs" -ge 2 -a "$runs" -le 4 || fail "again ran $runs times"
test "$(pid_of steady)" = "$steady" || fail "steady was started anew"
stop_going
