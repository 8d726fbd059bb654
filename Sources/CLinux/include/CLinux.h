#pragma once
/* Calls that Swift's view of the C library lacks. No header of the system is included here: the importer would take
   its types for this module's, and then misses them in the C library's own, depending on what was built first. */

/* Hidden behind a feature macro; the prototypes are those of the manual pages for 64-bit Linux. */
int fallocate(int descriptor, int mode, long offset, long length);
int mkostemp(char *path, int flags);
/* mallopt(3) and malloc_trim(3), with the parameters of malloc.h. */
int mallopt(int parameter, int value);
int malloc_trim(unsigned long kept);
enum { MALLOC_TRIM_THRESHOLD = -1, MALLOC_MMAP_MAX = -4 };
/* O_DIRECT of open(2), which differs between processors. */
#if defined(__aarch64__) || defined(__arm__)
enum { DIRECT_INPUT_OUTPUT = 0200000 };
#else
enum { DIRECT_INPUT_OUTPUT = 040000 };
#endif
/* Who is at the other end of a unix socket (unix(7)). */
struct peer_credentials { int pid; unsigned uid; unsigned gid; };

/* Asks for the cache line at an address that will be read soon; does nothing wrong at any address. */
static inline void memory_expect(const void *address) { __builtin_prefetch(address); }
/* ioprio_set(2). -1 with errno. */
long io_priority_set(int which, int who, int priority);
/* Takes CAP_SYS_NICE from the calling thread: capset(2) has no function in the C library. -1 when it cannot. */
int priority_privilege_drop(void);
/* Sends bytes and with them a descriptor (cmsg(3)). -1 with errno, else how many bytes were sent. */
long descriptor_send(int socket, const void *bytes, long count, int passed);
/* The next connection of a listening socket, closed on exec and never waited for (accept4(2)). -1 with errno. */
int connection_accept(int socket);
/* One line to the system's log as "dozo", at a level of syslog(3), which is variadic: 0 emergency to 7 debug, and a
   facility as its number in RFC 5424: 1 user, 3 daemon, 16 to 23 local0 to local7. */
void log_line(int level, int facility, const char *line);
/* A file in memory, without a name, closed on exec (memfd_create(2), hidden behind a feature macro). -1 with errno. */
int memory_file(const char *label);
/* Whether this process may have writes to memory reported to it (userfaultfd(2), pages protected from writes), which is
   what a hypervisor takes the memory of a running guest with. 0, or an errno. */
int write_reports_refusal(void);
