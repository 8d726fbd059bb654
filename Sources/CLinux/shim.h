#pragma once
/* Calls of the C library that the importer does not see, because their headers hide them behind a feature macro. The
   prototypes are those of the manual pages for 64-bit Linux. */
int fallocate(int descriptor, int mode, long offset, long length);
/* A call that the C library has no function for, and that Swift cannot make because syscall(2) is variadic. */
#include <sys/syscall.h>
#include <unistd.h>
static inline long io_priority_set(int which, int who, int priority) {
    return syscall(SYS_ioprio_set, which, who, priority);
}
/* O_DIRECT of open(2), which differs between processors. */
#if defined(__aarch64__) || defined(__arm__)
enum { DIRECT_INPUT_OUTPUT = 0200000 };
#else
enum { DIRECT_INPUT_OUTPUT = 040000 };
#endif
/* mallopt(3), which the importer does not see either. */
#include <malloc.h>
/* Asks for the cache line at an address that will be read soon; does nothing wrong at any address. */
static inline void memory_expect(const void *address) { __builtin_prefetch(address); }
/* Takes CAP_SYS_NICE from the calling thread: capset(2) has no function in the C library. -1 when it cannot. */
#include <linux/capability.h>
static inline int priority_privilege_drop(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, sets) != 0) return -1;
    sets[CAP_TO_INDEX(CAP_SYS_NICE)].effective &= ~CAP_TO_MASK(CAP_SYS_NICE);
    sets[CAP_TO_INDEX(CAP_SYS_NICE)].permitted &= ~CAP_TO_MASK(CAP_SYS_NICE);
    return syscall(SYS_capset, &head, sets);
}
/* Sends bytes and with them a descriptor (cmsg(3)), whose macros are not for the importer. -1 with errno, else how
   many bytes were sent. */
#include <string.h>
#include <sys/socket.h>
static inline ssize_t descriptor_send(int socket, const void *bytes, size_t count, int passed) {
    struct iovec part = {(void *)bytes, count};
    union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &passed, sizeof passed);
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}
/* Who is at the other end (unix(7)); the C library hides the structure behind _GNU_SOURCE. */
#ifndef __USE_GNU
struct ucred { int pid; unsigned uid; unsigned gid; };
#endif
/* mkostemp(3), hidden as well. */
int mkostemp(char *path, int flags);
/* syslog(3) is variadic. */
#include <syslog.h>
static inline void log_alert(const char *line) {
    openlog("dozo", LOG_PID, LOG_DAEMON);
    syslog(LOG_ALERT, "%s", line);
}
/* Whether this process may have writes to memory reported to it (userfaultfd(2), pages protected from writes), which is
   what a hypervisor takes the memory of a running guest with. 0, or an errno. */
#include <errno.h>
#include <linux/ioctl.h>
#include <linux/userfaultfd.h>
int ioctl(int descriptor, unsigned long request, ...);
static inline int write_reports_refusal(void) {
    /* O_CLOEXEC of open(2), whose header would bring along types that the importer then takes for ours. */
    enum { close_on_exec = 02000000 };
    int watch = (int)syscall(SYS_userfaultfd, close_on_exec);
    if (watch < 0) return errno;
    struct uffdio_api question = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
    int refusal = ioctl(watch, UFFDIO_API, &question) == 0 ? 0 : errno;
    close(watch);
    return refusal;
}
