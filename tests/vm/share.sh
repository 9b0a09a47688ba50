# In a group that is not the root, the kernel lets no group with processes share out
# memory: going makes room by moving itself, but nobody else. The next going, and one
# put in its place, find everything where it was.

top=/sys/fs/cgroup/box
mkdir $top
echo '+memory +pids +cpu' >/sys/fs/cgroup/cgroup.subtree_control
echo $$ >$top/cgroup.procs

service calm <<'END'
cmd=sleep 1000
memory-max=40M
END
service plain <<'END'
cmd=sleep 1000
END

# This shell is in there, too, and not going's.
start_going
wait_until 'grep -q "calm: does without (memory-max): .*shares its control group" /tmp/report'
pid=$(pid_of calm)
grep -qx '0::/box/going/calm.service' /proc/$pid/cgroup || fail "calm is elsewhere"
stop_going

echo $$ >/sys/fs/cgroup/cgroup.procs
sh -c "echo \$\$ >$top/cgroup.procs; exec going --report stderr" 2>>/tmp/report &
going=$!
wait_until goingctl ping '>/dev/null 2>&1'
pid=$(pid_of calm)
plain=$(pid_of plain)
test "$(cat $top/going/calm.service/memory.max)" = 41943040 || fail "no limit"
grep -qx '0::/box/going/.going' /proc/$going/cgroup || fail "going did not make room"

goingctl upgrade >/dev/null
wait_until goingctl ping '>/dev/null 2>&1'
goingctl restart calm >/dev/null
grep -qx '0::/box/going/calm.service' /proc/$(pid_of calm)/cgroup || fail "calm is elsewhere after the upgrade"
pid=$(pid_of calm)

# Started elsewhere, the next one leaves them where they are.
kill -9 "$going"
wait "$going" || :
start_going
test "$(pid_of calm)" = $pid || fail "calm was started anew"
test "$(pid_of plain)" = $plain || fail "plain was started anew"
goingctl status --json calm | grep -q '/box/going/calm.service' || fail "its group is lost"
stop_going
test ! -e $top/going/calm.service || fail "its group is left"
