/*
 * The least that keeps programs running: starts COUNT of them, waits, starts again
 * what has died, and does nothing else. It has no configuration, no log and no
 * patience, and is what tests/bench/figures compares with.
 *
 * usage: floor fork|spawn COUNT PROGRAM
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t is_over;
static volatile pid_t *pids;
static int count, is_forking;
static char *program;

static void stop(int number)
{
	is_over = 1;
	for (int i = 0; i < count; i++)
		if (pids[i] > 0)
			kill(pids[i], number);
}

static void start(int i)
{
	char number[12];
	char *words[] = { program, number, NULL };
	pid_t pid;

	snprintf(number, sizeof number, "%d", i);
	if (!is_forking) {
		if (posix_spawn(&pid, program, NULL, NULL, words, environ))
			exit(71);
	} else if ((pid = fork()) == 0) {
		execve(program, words, environ);
		_exit(127);
	}
	pids[i] = pid;
	/* It came too late to be told. */
	if (is_over)
		kill(pid, SIGTERM);
}

int main(int argc, char **argv)
{
	struct sigaction on_term = { .sa_handler = stop };
	pid_t pid;

	if (argc != 4)
		return 64;
	is_forking = !strcmp(argv[1], "fork");
	count = atoi(argv[2]);
	program = argv[3];
	pids = calloc(count, sizeof *pids);
	sigaction(SIGTERM, &on_term, NULL);
	for (int i = 0; i < count; i++)
		start(i);
	while ((pid = wait4(-1, NULL, 0, NULL)) > 0 || !is_over)
		for (int i = 0; i < count; i++)
			if (pids[i] == pid) {
				pids[i] = 0;
				if (!is_over)
					start(i);
				break;
			}
	return 0;
}
