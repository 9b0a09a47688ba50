/* The smallest service there is: it waits for signals, and has none handled. */
#include <unistd.h>

int main(void)
{
	for (;;)
		pause();
}
