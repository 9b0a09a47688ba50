/*
 * The stop-watch of tests/bench/figures.
 *
 * usage: clock from FILE COMMAND...	writes the time into FILE and becomes COMMAND
 *        clock runs TIMES COMMAND...	prints how many nanoseconds COMMAND took, each time
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t quiet;
	int64_t begin;
	pid_t pid;
	int fd, status;

	if (argc < 4)
		return 64;
	if (!strcmp(argv[1], "from")) {
		fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		begin = now();
		if (write(fd, &begin, sizeof begin) != sizeof begin)
			return 71;
		execvp(argv[3], argv + 3);
		return 127;
	}
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	for (int times = atoi(argv[2]); times > 0; times--) {
		begin = now();
		if (posix_spawnp(&pid, argv[3], &quiet, NULL, argv + 3, environ))
			return 127;
		waitpid(pid, &status, 0);
		printf("%lld\n", (long long)(now() - begin));
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			return 1;
	}
	return 0;
}
