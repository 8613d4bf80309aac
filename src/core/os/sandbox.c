#include "os/sandbox.h"

#include "sandbox_internal.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const int allowed[] = {
    /* the descriptors that are open */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(fsync), SCMP_SYS(ftruncate), SCMP_SYS(flock),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(mremap),
    /* time, locks, randomness */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(getrandom),
    /* itself */
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
    SCMP_SYS(exit_group)};

static bool allow(scmp_filter_ctx filter) {
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        if (result != 0 && result != -EDOM) { /* EDOM: this processor's kernel has no such call */
            return false;
        }
    }
    const unsigned long executable = PROT_EXEC;
    /* Memory of its own, never executable; signals to itself, as abort sends. */
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, executable, 0),
                            SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, executable, 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0;
}

bool sandbox_hide(error *err) {
    const struct rlimit none = {0, 0};
    return (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) ||
           error_set_errno(err, ERROR_IO, errno, "can't keep this process out of core dumps");
}

bool sandbox_enter(error *err) {
    if (!sandbox_hide(err)) {
        return false;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) {
        return error_memory(err);
    }
    int result = -EINVAL;
    if (allow(filter) && seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0) {
        result = seccomp_load(filter);
    }
    seccomp_release(filter);
    return result == 0 ||
           error_set_errno(err, ERROR_UNSUPPORTED, -result,
                           "the kernel refuses the sandbox (seccomp), so nothing is run without it");
}
