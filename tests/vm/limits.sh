# Control groups with every controller there is: limits hold, what the kernel kills
# for memory is told, figures are of all processes, and nothing is left behind.

base=/sys/fs/cgroup/going

service calm <<'END'
cmd=sleep 1000
memory-max=50%
memory-high=30M
cgroup=yes
END
service plain <<'END'
cmd=sleep 1000
END
service eater <<'END'
cmd=tail /dev/zero
memory-max=20M
END
start_going

# The kernel takes them as they are meant.
pid=$(pid_of calm)
grep -qx '0::/going/calm.service' /proc/$pid/cgroup || fail "calm is elsewhere"
half=$(($(awk '/^MemTotal/ { print $2 }' /proc/meminfo) / 2 / 1024))
max=$(($(cat $base/calm.service/memory.max) / 1024 / 1024))
test $max -ge $((half - 8)) -a $max -le $((half + 16)) || fail "50 % are $max MB, not $half"
test "$(cat $base/calm.service/memory.high)" = 31457280 || fail "memory-high"
plain=$(pid_of plain)
grep -qx '0::/' /proc/$plain/cgroup || fail "plain has a group it did not ask for"
test ! -e $base/plain.service || fail "plain has a group"

# Killed for memory, and told so everywhere.
wait_until 'grep -q "eater terminated after: .*killed by the kernel for memory" /tmp/report'
goingctl status eater | grep -q 'killed by the kernel for memory' || fail "status does not tell"
goingctl why eater | grep -q 'killed by the kernel for memory' || fail "why does not tell"
goingctl why --json eater | grep -q '"out_of_memory": *true' || fail "json does not tell"
goingctl disable eater >/dev/null
wait_until "test ! -e $base/eater.service"

# The kernel tells who has too much memory, long before anybody would look: that is
# ten seconds after the start, and the other one has run for eight by then.
service lasting <<'END'
cmd=sleep 1000
max-runtime=8s
END
service hungry <<'END'
cmd=tail /dev/zero
cgroup=yes
max-memory=30M
END
wait_until 'grep -q "hungry: has .*M of memory, more than 30M (max-memory), restarting" /tmp/report'
wait_until 'grep -q "lasting: has run for 8s" /tmp/report'
first=$(grep -e '(max-memory), restarting' -e 'lasting: has run' /tmp/report | head -n 1)
case $first in *hungry*) ;; *) fail "hungry was found by looking" ;; esac
test "$(cat $base/hungry.service/memory.high)" = 31457280 || fail "no alarm is set"
goingctl disable hungry lasting >/dev/null
wait_until "test ! -e $base/hungry.service"

# A fork bomb stays inside.
service forks <<'END'
cmd=sh -c '(while :; do sleep 999 & done); exec sleep 999'
pids-max=20
END
wait_until "grep -q 'max [1-9]' $base/forks.service/pids.events"
# The one who could not fork any more has died of it.
wait_until "test \$(cat $base/forks.service/pids.current) = 19"
goingctl why forks | grep -q 'there are 19 of them' || fail "why does not count"
goingctl disable forks >/dev/null
wait_until "test ! -e $base/forks.service"
ps -o args | grep '^sleep 999' && fail "sleepers are left"

# Twenty per cent for two who want a hundred each.
service busy <<'END'
cmd=sh -c '(while :; do :; done) & while :; do :; done'
cpu-max=20%
cpu-weight=50
END
wait_until "test -e $base/busy.service/cpu.max"
pid_of busy >/dev/null
test "$(cat $base/busy.service/cpu.max)" = '20000 100000' || fail "cpu-max"
test "$(cat $base/busy.service/cpu.weight)" = 50 || fail "cpu-weight"
used() {
	awk '$1 == "usage_usec" { print $2 }' $base/busy.service/cpu.stat
}
goal=$(($(used) + 300000))
start=$(awk '{ print int($1 * 100) }' /proc/uptime)
wait_until "test \$(used) -gt $goal"
spent=$(($(awk '{ print int($1 * 100) }' /proc/uptime) - start))
test $spent -gt 100 || fail "0.3 s of CPU within $spent/100 s"
goingctl disable busy >/dev/null

# A changed limit counts at once.
service calm <<'END'
cmd=sleep 1000
memory-max=40M
cgroup=yes
END
wait_until "test \$(cat $base/calm.service/memory.max) = 41943040"
test "$(cat $base/calm.service/memory.high)" = max || fail "memory-high is not lifted"
test "$(pid_of calm)" = $pid || fail "calm was restarted"

# The next going finds the groups again.
kill -9 "$going"
wait "$going" || :
start_going
test "$(pid_of calm)" = $pid || fail "calm was started anew"
goingctl status --json calm | grep -q '"cgroup": *"/sys/fs/cgroup/going/calm.service"' || fail "its group is lost"
stop_going
test ! -e $base || fail "groups are left: $(find $base -type d)"
