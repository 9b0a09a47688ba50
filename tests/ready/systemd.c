/* Says by systemd's own library that it is ready, and what that tells of its watchdog. */
#include <stdint.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

int main(void)
{
	uint64_t usec = 0;
	if (sd_watchdog_enabled(0, &usec) <= 0)
		return 10;
	if (sd_notify(0, "STATUS=working") <= 0)
		return 11;
	/* Comes back when all before it was heard. */
	if (sd_notify_barrier(0, 60 * 1000000ULL) <= 0)
		return 12;
	if (sd_notifyf(1, "STATUS=watchdog after %llu us, barrier passed\nREADY=1",
		       (unsigned long long)usec) <= 0)
		return 13;
	for (;;)
		pause();
}
