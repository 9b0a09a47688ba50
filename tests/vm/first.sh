# The machine boots into going: the real process 1, with nothing between it and the
# kernel. It keeps services, reaps what they leave, and its order to stop is obeyed.
# vm: PID 1

service judge <<'END'
cmd=sh -eu -c '. /vm/guest.sh; . /vm/first.judge'
restart=never
stdout=inherit
essential=yes
min-uptime=0
stop=KILL
END
service web <<'END'
cmd=sleep 100000
min-uptime=0
burst=none
END
service orphans <<'END'
type=oneshot
cmd=sh -c 'for it in $(seq 200); do (sleep 0.1 &); done'
END
cat >/vm/first.judge <<'END'
test "$(cat /proc/1/comm)" = going || fail "process 1 is $(cat /proc/1/comm)"
trap 'verdict 1' EXIT
wait_until goingctl ping '>/dev/null 2>&1'
pid=$(pid_of web)
test "$(awk '/^PPid/ { print $2 }' /proc/$pid/status)" = 1 || fail "web is no child of process 1"
kill -9 $pid
wait_until "test \$(pid_of web) != $pid"
wait_until 'goingctl status orphans | grep -q " done "'
wait_until '! grep -qs "^State:.Z" /proc/[0-9]*/status'
# What process 1 must survive: signals that kill others, and an upgrade.
kill -9 1
for it in HUP QUIT USR1 USR2 ALRM PIPE; do kill -$it 1; done
goingctl upgrade >/dev/null
pid=$(pid_of web)
goingctl restart web >/dev/null
test "$(pid_of web)" != "$pid" || fail "web was not restarted"
goingctl stop web >/dev/null
goingctl self >/dev/null
trap - EXIT
verdict 0
END
exec going --report stderr
