#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

_Static_assert(DIRECT_INPUT_OUTPUT == O_DIRECT, "open(2)");
_Static_assert(MALLOC_TRIM_THRESHOLD == M_TRIM_THRESHOLD && MALLOC_MMAP_MAX == M_MMAP_MAX, "mallopt(3)");
_Static_assert(sizeof(struct peer_credentials) == sizeof(struct ucred), "unix(7)");

long io_priority_set(int which, int who, int priority) {
    return syscall(SYS_ioprio_set, which, who, priority);
}

int priority_privilege_drop(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, sets) != 0) return -1;
    sets[CAP_TO_INDEX(CAP_SYS_NICE)].effective &= ~CAP_TO_MASK(CAP_SYS_NICE);
    sets[CAP_TO_INDEX(CAP_SYS_NICE)].permitted &= ~CAP_TO_MASK(CAP_SYS_NICE);
    return (int)syscall(SYS_capset, &head, sets);
}

long descriptor_send(int socket, const void *bytes, long count, int passed) {
    struct iovec part = {(void *)bytes, (size_t)count};
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

_Static_assert(LOG_EMERG == 0 && LOG_DEBUG == 7, "syslog(3)");

_Static_assert(LOG_DAEMON == 3 << 3 && LOG_LOCAL7 == 23 << 3, "syslog(3)");

void log_line(int level, int facility, const char *line) {
    openlog("dozo", LOG_PID, LOG_DAEMON);
    syslog((level & 7) | (facility << 3), "%s", line);
}

int connection_accept(int socket) {
    return accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int memory_file(const char *label) {
    return memfd_create(label, MFD_CLOEXEC);
}

int write_reports_refusal(void) {
    int watch = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (watch < 0) return errno;
    struct uffdio_api question = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
    int refusal = ioctl(watch, UFFDIO_API, &question) == 0 ? 0 : errno;
    close(watch);
    return refusal;
}
