/* Asks systemd's own library what it was given, checks it by kind and address, and
 * tells everybody who connects to its last socket. Arguments: the port and the path. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char text[256];
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);
	if (argc != 3 || count != 4)
		return 10;
	unsigned port = atoi(argv[1]);
	if (sd_is_socket_inet(3, AF_INET6, SOCK_STREAM, 1, port) <= 0)
		return 11;
	if (sd_is_socket_unix(4, SOCK_STREAM, 1, argv[2], 0) <= 0)
		return 12;
	if (sd_is_socket_inet(5, AF_UNSPEC, SOCK_DGRAM, -1, port) <= 0)
		return 13;
	if (sd_is_socket_inet(6, AF_INET, SOCK_STREAM, 1, port) <= 0)
		return 14;
	int length = snprintf(text, sizeof text, "%d", count);
	for (int i = 0; i < count; i++)
		length += snprintf(text + length, sizeof text - length, " %s=%d", names[i], SD_LISTEN_FDS_START + i);
	if (!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"))
		length += snprintf(text + length, sizeof text - length, " environment is clean");
	for (;;) {
		char bytes[64];
		int client = accept(6, NULL, NULL);
		if (client < 0 || read(client, bytes, sizeof bytes) < 0)
			return 15;
		send(client, text, length, MSG_NOSIGNAL);
		close(client);
	}
}
