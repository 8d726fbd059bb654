// What the tiny guest of the tests does to its disks. Linked statically; everything it writes can be told from outside
// the guest by tiny_guest.py, which knows the same generator.
//
//   guest-work counter FILE                      counts in memory, ten a second, and shows the count in FILE
//   guest-work writer FIRST SECOND FILE [MICROSECONDS]
//       writes 1, 2, 3, … each durably to FIRST, then to SECOND, so that at any instant the two differ by one at most;
//       goes on where the disks stand; shows the last number that is on both in FILE
//   guest-work scatter DEVICE SEED COUNT         COUNT pages of 4 KiB at places that the seed chooses, durably
//   guest-work latency DEVICE SECONDS
//       4 KiB at places of chance, each durably, for so long; prints how many and the microseconds that half, 99 in a
//       hundred and all of them took at most
//   guest-work discard DEVICE OFFSET LENGTH      tells the disk that these bytes are not needed
//   guest-work read DEVICE                       the disk's bytes on standard output, past the page cache
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { page = 4096, slots = 64, words = page / 8 };
// The first MiB belongs to the writer's slots; scattered pages lie behind it.
static const uint64_t reserved = 1 << 20;
static const uint64_t mark = 0x544f4c534f5a4f44;  // "DOZOSLOT" in memory order

static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void fill(uint64_t *block, uint64_t seed, uint64_t index) {
    uint64_t state = seed * 0x9e3779b97f4a7c15 + index;
    for (int i = 0; i < words; i++) block[i] = next(&state);
}

static void stop(const char *what) {
    fprintf(stderr, "guest-work: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int opened(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0) stop(path);
    return fd;
}

static uint64_t *a_page(void) {
    void *memory;
    if (posix_memalign(&memory, page, page)) stop("memory");
    return memory;
}

static void put(int fd, const void *bytes, uint64_t offset) {
    if (pwrite(fd, bytes, page, (off_t)offset) != page) stop("write");
}

static void show(int fd, uint64_t number) {
    char line[24];
    int length = snprintf(line, sizeof line, "%020llu\n", (unsigned long long)number);
    if (pwrite(fd, line, (size_t)length, 0) != length) stop("show");
}

static uint64_t highest(int fd, uint64_t *block) {
    uint64_t found = 0;
    for (int slot = 0; slot < slots; slot++) {
        if (pread(fd, block, page, (off_t)slot * page) != page) stop("read");
        if (block[0] == mark && block[1] > found) found = block[1];
    }
    return found;
}

static void counter(const char *file) {
    int fd = opened(file, O_RDWR | O_CREAT);
    for (volatile uint64_t count = 1;; count++) {
        show(fd, count);
        usleep(100000);
    }
}

static void writer(const char *first, const char *second, const char *file, unsigned pause) {
    int a = opened(first, O_RDWR | O_DIRECT | O_DSYNC), b = opened(second, O_RDWR | O_DIRECT | O_DSYNC);
    int shown = opened(file, O_RDWR | O_CREAT);
    uint64_t *block = a_page();
    for (uint64_t number = highest(b, block) + 1;; number++) {
        fill(block, mark, number);
        block[0] = mark;
        block[1] = number;
        put(a, block, number % slots * page);
        put(b, block, number % slots * page);
        show(shown, number);
        if (pause) usleep(pause);
    }
}

static void scatter(const char *device, uint64_t seed, uint64_t count) {
    int fd = opened(device, O_RDWR | O_DIRECT);
    uint64_t size, state = seed, *block = a_page();
    if (ioctl(fd, BLKGETSIZE64, &size)) stop("size");
    for (uint64_t index = 0; index < count; index++) {
        uint64_t at = reserved + next(&state) % ((size - reserved) / page) * page;
        fill(block, seed, index);
        put(fd, block, at);
    }
    if (fsync(fd)) stop("sync");
}

static uint64_t microseconds(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now)) stop("clock");
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int by_size(const void *left, const void *right) {
    uint32_t one = *(const uint32_t *)left, other = *(const uint32_t *)right;
    return (one > other) - (one < other);
}

static void latency(const char *device, uint64_t seconds) {
    enum { most = 1 << 20 };
    int fd = opened(device, O_RDWR | O_DIRECT | O_DSYNC);
    uint64_t size, state = 1, *block = a_page(), began = microseconds(), now = began;
    uint32_t *took = malloc(most * sizeof *took), count = 0;
    if (!took || ioctl(fd, BLKGETSIZE64, &size)) stop("size");
    for (; now - began < seconds * 1000000 && count < most; now = microseconds(), count++) {
        fill(block, state, count);
        uint64_t at = reserved + next(&state) % ((size - reserved) / page) * page, then = microseconds();
        put(fd, block, at);
        took[count] = (uint32_t)(microseconds() - then);
    }
    qsort(took, count, sizeof *took, by_size);
    printf("%u %u %u %u\n", count, took[count / 2], took[(uint64_t)count * 99 / 100], took[count - 1]);
}

static void discard(const char *device, uint64_t offset, uint64_t length) {
    uint64_t range[2] = {offset, length};
    int fd = opened(device, O_RDWR);
    if (ioctl(fd, BLKDISCARD, range) || fsync(fd)) stop("discard");
}

static void give(const char *device) {
    enum { piece = 1 << 20 };
    void *memory;
    if (posix_memalign(&memory, page, piece)) stop("memory");
    int fd = opened(device, O_RDONLY | O_DIRECT);
    for (ssize_t count; (count = read(fd, memory, piece)) != 0;) {
        if (count < 0 || fwrite(memory, 1, (size_t)count, stdout) != (size_t)count) stop("read");
    }
    if (fflush(stdout)) stop("output");
}

int main(int count, char **word) {
    const char *verb = count > 1 ? word[1] : "";
    if (!strcmp(verb, "counter") && count == 3) counter(word[2]);
    else if (!strcmp(verb, "writer") && count >= 5) writer(word[2], word[3], word[4], count > 5 ? atoi(word[5]) : 0);
    else if (!strcmp(verb, "scatter") && count == 5)
        scatter(word[2], strtoull(word[3], 0, 0), strtoull(word[4], 0, 0));
    else if (!strcmp(verb, "latency") && count == 4) latency(word[2], strtoull(word[3], 0, 0));
    else if (!strcmp(verb, "discard") && count == 5)
        discard(word[2], strtoull(word[3], 0, 0), strtoull(word[4], 0, 0));
    else if (!strcmp(verb, "read") && count == 3) give(word[2]);
    else {
        fprintf(stderr, "usage: guest-work counter|writer|scatter|latency|discard|read …\n");
        return 2;
    }
    return 0;
}
