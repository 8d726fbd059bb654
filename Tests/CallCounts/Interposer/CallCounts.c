#define _GNU_SOURCE
#include "CCallCounts.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static _Atomic uint64_t allocations;
static _Atomic uint64_t hash_library_allocations;
static _Atomic uint64_t references;

static void count(_Atomic uint64_t *counter) { atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); }

void *malloc(size_t size) {
    count(&allocations);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(&allocations);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count(&allocations);
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(&allocations);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    count(&allocations);
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}

/* libcrypto allocates through these, so that what it does by itself is told apart. */
static void *crypto_malloc(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    count(&hash_library_allocations);
    return __libc_malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    count(&hash_library_allocations);
    return __libc_realloc(old, size);
}

static void crypto_free(void *memory, const char *file, int line) {
    (void)file;
    (void)line;
    free(memory);
}

int call_counts_begin(void) {
    typedef int (*set_function)(
        void *(*)(size_t, const char *, int), void *(*)(void *, size_t, const char *, int),
        void (*)(void *, const char *, int));
    set_function set = (set_function)dlsym(RTLD_DEFAULT, "CRYPTO_set_mem_functions");
    return set && set(crypto_malloc, crypto_realloc, crypto_free);
}

uint64_t call_counts_hash_library_allocations(void) {
    return atomic_load_explicit(&hash_library_allocations, memory_order_relaxed);
}

/* The runtime's own entry points, found behind ours. Its hooks for instruments would see all of them, but hand on the
 * wrong bits of small strings. What the standard library does inside itself is not counted. */
#define RETAINING(name) \
    void *name(void *object) { \
        static void *(*plain)(void *); \
        if (!plain) *(void **)&plain = dlsym(RTLD_NEXT, #name); \
        count(&references); \
        return plain(object); \
    }
#define RETAINING_MANY(name) \
    void *name(void *object, uint32_t number) { \
        static void *(*plain)(void *, uint32_t); \
        if (!plain) *(void **)&plain = dlsym(RTLD_NEXT, #name); \
        count(&references); \
        return plain(object, number); \
    }
#define RELEASING(name) \
    void name(void *object) { \
        static void (*plain)(void *); \
        if (!plain) *(void **)&plain = dlsym(RTLD_NEXT, #name); \
        count(&references); \
        plain(object); \
    }
#define RELEASING_MANY(name) \
    void name(void *object, uint32_t number) { \
        static void (*plain)(void *, uint32_t); \
        if (!plain) *(void **)&plain = dlsym(RTLD_NEXT, #name); \
        count(&references); \
        plain(object, number); \
    }

RETAINING(swift_retain)
RETAINING(swift_bridgeObjectRetain)
RETAINING_MANY(swift_retain_n)
RETAINING_MANY(swift_bridgeObjectRetain_n)
RELEASING(swift_release)
RELEASING(swift_bridgeObjectRelease)
RELEASING_MANY(swift_release_n)
RELEASING_MANY(swift_bridgeObjectRelease_n)

uint64_t call_counts_allocations(void) { return atomic_load_explicit(&allocations, memory_order_relaxed); }
uint64_t call_counts_references(void) { return atomic_load_explicit(&references, memory_order_relaxed); }
