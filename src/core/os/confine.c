#include "sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIST_END = -1 };

const sandbox_place sandbox_name_places[SANDBOX_NAME_PLACES] = {
    {"/etc/resolv.conf", SANDBOX_READ},
    {"/etc/hosts", SANDBOX_READ},
    {"/etc/nsswitch.conf", SANDBOX_READ},
    {"/etc/host.conf", SANDBOX_READ},
    {"/etc/gai.conf", SANDBOX_READ},
    {"/etc/services", SANDBOX_READ},
    {"/etc/ssl", SANDBOX_READ},
    {"/usr/lib/ssl", SANDBOX_READ},
    {"/usr/share/ca-certificates", SANDBOX_READ},
    {"/usr/local/share/ca-certificates", SANDBOX_READ},
};

#define CALL(name) SCMP_SYS(name)

/* Whatever it has opened, threads, memory, time. */
static const int always[] = {
    CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64), CALL(close),
    CALL(fstat), CALL(newfstatat), CALL(stat), CALL(lstat), CALL(lseek), CALL(fsync), CALL(fdatasync),
    CALL(ftruncate), CALL(fallocate), CALL(fadvise64), CALL(flock), CALL(fcntl), CALL(poll), CALL(ppoll),
    CALL(epoll_create1), CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_ctl), CALL(eventfd2), CALL(pipe2),
    CALL(dup),
    /* connections that came in */
    CALL(accept), CALL(accept4), CALL(getsockname), CALL(getpeername), CALL(getsockopt), CALL(setsockopt),
    CALL(sendto), CALL(sendmsg), CALL(recvfrom), CALL(recvmsg), CALL(shutdown),
    /* memory, some of it locked */
    CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise), CALL(mlock), CALL(mlock2), CALL(munlock),
    CALL(mincore), CALL(msync),
    /* time, locks, randomness, threads */
    CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday),
    CALL(time), CALL(futex), CALL(sched_yield), CALL(sched_getaffinity), CALL(getrandom),
    CALL(set_robust_list), CALL(rseq), CALL(membarrier), CALL(getcpu),
    /* itself */
    CALL(getpid), CALL(gettid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getppid),
    CALL(getrusage), CALL(sysinfo), CALL(uname), CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn),
    CALL(sigaltstack), CALL(restart_syscall), CALL(wait4), CALL(exit), CALL(exit_group), LIST_END};

/* socket itself is limited below. A pair is connected to nothing else. */
static const int to_connect[] = {CALL(connect),  CALL(bind),     CALL(socketpair),
                                 CALL(sendmmsg), CALL(recvmmsg), LIST_END};

/* Opening is limited below. */
static const int to_read[] = {CALL(getdents64), CALL(readlink),  CALL(readlinkat),
                              CALL(access),     CALL(faccessat), CALL(statfs),
                              CALL(fstatfs),    CALL(getcwd),    LIST_END};

static const int to_write[] = {CALL(rename), CALL(renameat), CALL(renameat2), CALL(unlink), CALL(unlinkat),
                               CALL(mkdir),  CALL(mkdirat),  CALL(fchmod),    CALL(fchown), LIST_END};

/* What starting a program takes, and what a program does before it gives up rights of its own. */
static const int to_start[] = {CALL(execve),
                               CALL(clone),
                               CALL(vfork),
                               CALL(fork),
                               CALL(kill),
                               CALL(waitid),
                               CALL(dup2),
                               CALL(dup3),
                               CALL(pipe),
                               CALL(socketpair),
                               CALL(setsid),
                               CALL(setpgid),
                               CALL(chdir),
                               CALL(umask),
                               CALL(arch_prctl),
                               CALL(set_tid_address),
                               CALL(prctl),
                               CALL(seccomp),
                               CALL(sched_setaffinity),
                               CALL(getpgrp),
                               CALL(getrlimit),
                               CALL(setrlimit),
                               CALL(prlimit64),
                               CALL(tgkill),
                               CALL(mmap),
                               CALL(mprotect),
                               CALL(ioctl),
                               LIST_END};

static bool add_all(scmp_filter_ctx filter, const int *calls) {
    for (; *calls != LIST_END; calls++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, *calls, 0);
        if (result != 0 && result != -EDOM) { /* EDOM: this processor's kernel has no such call */
            return false;
        }
    }
    return true;
}

/* For programs that don't start others: no memory of theirs is executable, and they name themselves only. */
static bool add_own(scmp_filter_ctx filter) {
    static const unsigned long requests[] = {FIONBIO, FIONREAD, FIOCLEX, FIONCLEX, TCGETS};
    const unsigned long executable = PROT_EXEC;
    bool good =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, executable, 0)) ==
            0 &&
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(mprotect), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, executable, 0)) == 0 &&
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) == 0 &&
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(tgkill), 1,
                         SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0 &&
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0)) == 0 &&
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0, 0),
                         SCMP_A2(SCMP_CMP_EQ, 0, 0)) == 0;
    for (size_t i = 0; good && i < sizeof requests / sizeof requests[0]; i++) {
        good = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(ioctl), 1,
                                SCMP_A1(SCMP_CMP_EQ, requests[i], 0)) == 0;
    }
    return good;
}

static bool add_sockets(scmp_filter_ctx filter) {
    static const unsigned families[] = {AF_INET, AF_INET6, AF_NETLINK}; /* the last: which addresses it has */
    bool good = true;
    for (size_t i = 0; good && i < sizeof families / sizeof families[0]; i++) {
        good = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 1,
                                SCMP_A0(SCMP_CMP_EQ, families[i], 0)) == 0;
    }
    return good;
}

static bool add_local(scmp_filter_ctx filter) {
    const unsigned long flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(connect), 0) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
                            SCMP_A1(SCMP_CMP_MASKED_EQ, ~flags & UINT32_MAX, SOCK_STREAM)) == 0;
}

static bool add_opening(scmp_filter_ctx filter, bool may_write) {
    const unsigned long writing = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    return may_write ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(openat), 0) == 0
                     : seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(openat), 1,
                                        SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY)) == 0;
}

/* The C library does without these where it is told that the kernel hasn't got them: their arguments can't be
 * looked at. */
static bool deny_as_unknown(scmp_filter_ctx filter) {
    static const int calls[] = {CALL(clone3), CALL(openat2), CALL(faccessat2), CALL(statx), LIST_END};
    bool good = true;
    for (const int *call = calls; good && *call != LIST_END; call++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), *call, 0);
        good = result == 0 || result == -EDOM;
    }
    return good;
}

static bool fill(scmp_filter_ctx filter, unsigned rights) {
    bool may_open = (rights & (SANDBOX_READ | SANDBOX_WRITE | SANDBOX_START)) != 0;
    bool may_write = (rights & SANDBOX_WRITE) != 0;
    return add_all(filter, always) && deny_as_unknown(filter) &&
           ((rights & SANDBOX_START) != 0 ? add_all(filter, to_start) : add_own(filter)) &&
           ((rights & SANDBOX_CONNECT) == 0 || (add_all(filter, to_connect) && add_sockets(filter))) &&
           ((rights & SANDBOX_LOCAL) == 0 || add_local(filter)) &&
           (!may_open || (add_all(filter, to_read) && add_opening(filter, may_write))) &&
           (!may_write || add_all(filter, to_write));
}

/* Without TSYNC: other threads would keep files open that Landlock, which knows this thread only, denies. */
static bool limit_calls(const sandbox_profile *profile, sandbox_walls *walls, error *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) {
        return error_memory(err);
    }
    bool filled = fill(filter, profile->rights) &&
                  seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
                  seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0;
    walls->calls = filled && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return filled || error_set(err, ERROR_INTERNAL, "the filter of system calls can't be made");
}

bool sandbox_confine(const sandbox_profile *profile, sandbox_walls *walls, error *err) {
    *walls = (sandbox_walls){.calls = false};
    return sandbox_hide(err) && sandbox_limit_files(profile, walls, err) && limit_calls(profile, walls, err);
}
