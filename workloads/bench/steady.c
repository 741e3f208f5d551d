// A steady load whose latencies are known: threads that sleep, 19 of 20 times for about 1 ms
// (0.5 to 1.5: threads that slept equally long would fall into step, and wait for each other in
// convoys that come and go over seconds), else for about 20 ms (log-normal). SIGUSR1 makes the
// long sleeps a tenth longer, SIGUSR2 as they were. Of real-time priority, for else it were the
// other programs' load that is measured.
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static volatile sig_atomic_t tenths = 10;

static void slower(int signal) {
    tenths = signal == SIGUSR1 ? 11 : 10;
}

static double uniform(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

static void *sleeps(void *seed) {
    uint64_t state = 0x9E3779B97F4A7C15u * (uintptr_t)seed;
    for (;;) {
        double ms = 0.5 + uniform(&state);
        if (uniform(&state) < 0.05) {
            double normal = sqrt(-2 * log(uniform(&state))) * cos(2 * M_PI * uniform(&state));
            ms = 2 * tenths * exp(0.15 * normal);
        }
        struct timespec length = {0, (long)(ms * 1e6)};
        nanosleep(&length, NULL);
    }
    return NULL;
}

int main(int count, char **words) {
    int threads = count > 1 ? atoi(words[1]) : 32;
    struct sched_param priority = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &priority))
        perror("not of real-time priority, and so less steady");
    signal(SIGUSR1, slower);
    signal(SIGUSR2, slower);
    pthread_t thread;
    for (uintptr_t each = 1; each <= (uintptr_t)threads; each++)
        pthread_create(&thread, NULL, sleeps, (void *)each);
    puts("ready");
    fflush(stdout);
    pthread_join(thread, NULL);
}
