# The machine boots, and going keeps a service in it, past its own death.

service hello <<END
cmd=sleep 1000
END
start_going
pid=$(pid_of hello)
kill -9 $pid
wait_until "test \$(pid_of hello) != $pid"
pid=$(pid_of hello)
kill -9 "$going"
wait "$going" || :
start_going
test "$(pid_of hello)" = $pid || fail "hello was started anew"
stop_going
is_alive $pid && fail "hello outlives its stop" || :
