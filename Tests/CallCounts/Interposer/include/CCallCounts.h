#pragma once
/* Counts every allocation and every change of a reference count of this process. Linked into the counting program
 * only: its definitions come before those of the C library and of the Swift runtime. */
#include <stdint.h>

/* Tells allocations of libcrypto from all others from now on. 0 when it has allocated already. */
int call_counts_begin(void);
/* Calls of malloc, calloc, realloc, posix_memalign and aligned_alloc so far, by anybody but libcrypto. */
uint64_t call_counts_allocations(void);
/* Allocations of libcrypto so far. */
uint64_t call_counts_hash_library_allocations(void);
/* Retains and releases of Swift objects so far. */
uint64_t call_counts_references(void);
