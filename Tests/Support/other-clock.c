/* Loaded before the C library's own (LD_PRELOAD): the clock on the wall shows DOZO_TEST_CLOCK, in seconds since 1970,
   when the program begins, and goes on from there. Other clocks are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int (*theirs)(clockid_t, struct timespec *);
static long long distance;

__attribute__((constructor)) static void begin(void) {
    struct timespec now;
    const char *wanted = getenv("DOZO_TEST_CLOCK");
    theirs = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (wanted != NULL && theirs(CLOCK_REALTIME, &now) == 0) distance = atoll(wanted) - (long long)now.tv_sec;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (theirs == NULL) begin();
    int status = theirs(clock, time);
    if (status == 0 && clock == CLOCK_REALTIME) time->tv_sec += distance;
    return status;
}
