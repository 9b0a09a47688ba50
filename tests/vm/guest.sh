# What every script of the virtual machine may use.

fail() {
	echo "FAILED: $*"
	echo "--- /proc"
	ps -o pid,ppid,pgid,sid,stat,comm,args | grep -v '\]$' || :
	echo "--- the report"
	cat /tmp/report 2>/dev/null || :
	return 1
}

# wait_until COMMAND...: until it succeeds; says so and gives up after a while.
wait_until() {
	tries=0
	until eval "$*"; do
		tries=$((tries + 1))
		test $tries -lt 250 || fail "waited in vain for: $*"
		sleep 0.1
	done
}

# service NAME: a service file, from standard input.
service() {
	cat >"/tmp/early"
	mv /tmp/early "/etc/going.d/$1"
}

# start_going [OPTION...]: in the background; what it reports is in /tmp/report.
start_going() {
	going --report stderr "$@" 2>>/tmp/report &
	going=$!
	wait_until goingctl ping '>/dev/null 2>&1'
}

# stop_going: in order.
stop_going() {
	kill "$going"
	wait "$going" || fail "going ended with $?"
}

# pid_of NAME: of its main process, once it is up.
pid_of() {
	wait_until "goingctl status $1 | grep -q '^$1 *up '" >&2
	goingctl status "$1" | awk -v name="$1" '$1 == name { print $3 }'
}

# is_alive PID
is_alive() {
	test -d "/proc/$1" && ! grep -q '^State:.Z' "/proc/$1/status"
}
