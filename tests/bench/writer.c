/* A chatty service: so many bytes of 100-byte lines, so many lines a write. It
 * waits for a line on stdin before it begins, and ends with the line END. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char block[100 * 1000];

static void put(const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t done = write(1, bytes, size);
		if (done < 0)
			exit(1);
		bytes += done;
		size -= done;
	}
}

int main(int argc, char **argv)
{
	long total = atol(argv[1]), lines = atol(argv[2]), line, number = 0;
	char go;

	if (argc < 3 || lines < 1 || lines > 1000)
		return 2;
	if (read(0, &go, 1) != 1)
		return 1;
	while (number * 100 < total) {
		for (line = 0; line < lines; line++) {
			char *at = block + 100 * line;
			memset(at, 'x', 99);
			at[sprintf(at, "%010ld", ++number)] = ' ';
			at[99] = '\n';
		}
		put(block, 100 * lines);
	}
	put("END\n", 4);
	pause();
	return 0;
}
