/* Opens /dev/null RATE times a second, or as often as it gets a CPU for. Told a path on a line, it
 * opens that one too, once, and answers with CLOCK_MONOTONIC in ns from just before. Ends when
 * nobody is left to tell it. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void open_and_close(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd >= 0)
        close(fd);
}

static int told(int wait_ms)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    char path[256];
    if (poll(&in, 1, wait_ms) <= 0)
        return 1;
    if (!fgets(path, sizeof(path), stdin))
        return 0;
    path[strcspn(path, "\n")] = 0;
    long long at = now();
    open_and_close(path);
    printf("%lld\n", at);
    return 1;
}

int main(int argc, char **argv)
{
    double rate = argc > 1 ? atof(argv[1]) : 1;
    int wait_ms = rate >= 250 ? 2 : 1 + (int)(250 / rate);
    setvbuf(stdin, NULL, _IONBF, 0); /* so that poll sees every line that was not read */
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    long long begun = now(), made = 0, most = 1 + (long long)(rate / 50);
    do {
        long long due = (long long)((now() - begun) / 1e9 * rate);
        if (due - made > most) /* what was missed is not made up for: it would never listen */
            made = due - most;
        for (; made < due; made++)
            open_and_close("/dev/null");
    } while (told(wait_ms));
    return 0;
}
