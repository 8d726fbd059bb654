#pragma once
/* CRC32C by the processor's own instruction, which Swift cannot name. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
static inline int checksum_has_instruction(void) { return __builtin_cpu_supports("sse4.2"); }

/* Goes on from `value`, which the caller inverts before and after (RFC 3720). */
__attribute__((target("sse4.2"))) static inline uint32_t checksum_crc32c(
    uint32_t value, const void *bytes, size_t count) {
    const unsigned char *next = (const unsigned char *)bytes;
    uint64_t sum = value;
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    for (; count > 0; count--, next++) sum = __builtin_ia32_crc32qi((uint32_t)sum, *next);
    return (uint32_t)sum;
}
#else
static inline int checksum_has_instruction(void) { return 0; }
static inline uint32_t checksum_crc32c(uint32_t value, const void *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return value;
}
#endif
