/* The server of the tests: takes its sockets as sd_listen_fds(3) would, or as its
 * standard input, and answers everybody with its pid. It finishes what it has begun
 * before it obeys SIGTERM, and with "one" it ends after a single answer. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t is_over;

static void end(int signal)
{
	(void)signal;
	is_over = 1;
}

static void answer(int fd)
{
	char text[32], bytes[64];
	int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
	int type = 0;
	socklen_t size = sizeof type;
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	if (type == SOCK_DGRAM) {
		struct sockaddr_storage peer;
		socklen_t peer_size = sizeof peer;
		if (recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &peer_size) >= 0)
			sendto(fd, text, length, 0, (struct sockaddr *)&peer, peer_size);
		return;
	}
	int client = accept(fd, NULL, NULL);
	if (client < 0)
		return;
	while (read(client, bytes, sizeof bytes) < 0 && errno == EINTR)
		;
	send(client, text, length, MSG_NOSIGNAL);
	close(client);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	int is_stdin = strcmp(word, "stdin") == 0, is_one = strcmp(word, "one") == 0;
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	if (!is_stdin && (!pid || !count || atoi(pid) != getpid()))
		return 9;
	int first = is_stdin ? 0 : 3, fds = is_stdin ? 1 : atoi(count);
	struct pollfd polled[64];
	for (int i = 0; i < fds; i++)
		polled[i] = (struct pollfd){ .fd = first + i, .events = POLLIN };
	sigset_t blocked, before;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	struct sigaction action = { .sa_handler = end };
	sigaction(SIGTERM, &action, NULL);
	while (!is_over) {
		if (ppoll(polled, fds, NULL, &before) <= 0)
			continue;
		for (int i = 0; i < fds; i++)
			if (polled[i].revents)
				answer(polled[i].fd);
		if (is_one)
			return 0;
	}
	return 0;
}
