/* Loads whose number of events is known. Each waits for a byte on standard input, then runs.
 *
 *   load calls COUNT RATE SIZE S  COUNT writes of SIZE bytes to /dev/null, descriptor 100, or as
 *                                 many as S seconds allow; RATE a second, or (0) a flood
 *   load switches COUNT           two processes on one CPU that wake each other COUNT times each
 *   load reads COUNT PATH         COUNT reads of 4 KiB past the page cache; makes the file
 *
 * Prints how many there were, how long it took, and its CPU time, both in ns. */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    DESCRIPTOR = 100,
    BLOCK = 4096,
    BLOCKS = 1024,
    LARGEST = 4096,
    AT_ONCE = 4096,
    TICK_US = 1000
};

#define SECOND 1000000000L

static long clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void write_some(long count, size_t size)
{
    static char text[LARGEST];

    if (!text[0])
        memset(text, 'x', sizeof(text) - 1);
    while (count-- > 0)
        if (write(DESCRIPTOR, text, size) < 0)
            err(1, "write");
}

/* Returns how many it made. */
static long calls(long count, double rate, size_t size, double seconds)
{
    long begun = clock_ns(CLOCK_MONOTONIC), end = begun + seconds * SECOND;
    long made = 0, now = begun;

    while (made < count && now < end) {
        long due = rate ? (now - begun) * (rate / SECOND) + 1 : made + AT_ONCE;

        if (due > count)
            due = count;
        if (due > made + AT_ONCE)
            due = made + AT_ONCE;
        write_some(due - made, size);
        made = due;
        now = clock_ns(CLOCK_MONOTONIC);
        if (rate && (now - begun) * (rate / SECOND) < made) {
            usleep(TICK_US);
            now = clock_ns(CLOCK_MONOTONIC);
        }
    }
    return made;
}

static void pass_on(int from, int to, long count, int first)
{
    char byte = 0;

    while (count-- > 0) {
        if (first && write(to, &byte, 1) != 1)
            err(1, "write");
        if (read(from, &byte, 1) != 1)
            err(1, "read");
        if (!first && write(to, &byte, 1) != 1)
            err(1, "write");
    }
}

static void switches(long count)
{
    int there[2], back[2];
    cpu_set_t one;
    pid_t other;

    CPU_ZERO(&one);
    CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
    if (sched_setaffinity(0, sizeof(one), &one) || pipe(there) || pipe(back))
        err(1, "switches");
    other = fork();
    if (other < 0)
        err(1, "fork");
    if (!other) {
        pass_on(there[0], back[1], count, 0);
        _exit(0);
    }
    pass_on(back[0], there[1], count, 1);
    waitpid(other, NULL, 0);
}

static void reads(long count, const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    void *block;

    if (file < 0 || posix_memalign(&block, BLOCK, BLOCK))
        err(1, "%s", path);
    for (long i = 0; i < count; i++)
        if (pread(file, block, BLOCK, i % BLOCKS * BLOCK) != BLOCK)
            err(1, "pread");
}

static void make_file(const char *path)
{
    static char block[BLOCK];
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    memset(block, 'x', sizeof(block));
    for (int i = 0; file >= 0 && i < BLOCKS; i++)
        if (write(file, block, BLOCK) != BLOCK)
            err(1, "%s", path);
    if (file < 0 || fsync(file) || close(file))
        err(1, "%s", path);
}

static long cpu_of(int who)
{
    struct rusage used;

    getrusage(who, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * SECOND +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    long count = argc > 2 ? atol(argv[2]) : 0, begun, cpu;
    char go;

    if (!count || argc < (!strcmp(kind, "calls") ? 6 : !strcmp(kind, "reads") ? 4 : 3))
        errx(2, "load calls|switches|reads COUNT ...");
    if (dup2(open("/dev/null", O_WRONLY), DESCRIPTOR) < 0)
        err(1, "/dev/null");
    if (!strcmp(kind, "reads"))
        make_file(argv[3]);
    printf("ready\n");
    fflush(stdout);
    if (read(0, &go, 1) != 1)
        return 1;
    begun = clock_ns(CLOCK_MONOTONIC);
    cpu = cpu_of(RUSAGE_SELF);
    if (!strcmp(kind, "calls"))
        count = calls(count, atof(argv[3]), atol(argv[4]), atof(argv[5]));
    else if (!strcmp(kind, "switches"))
        switches(count);
    else
        reads(count, argv[3]);
    cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - cpu;
    printf("%ld %ld %ld\n", count, clock_ns(CLOCK_MONOTONIC) - begun, cpu);
    return 0;
}
