/* Preloaded into a process: ends it, as SIGKILL would, before the nth change that it makes to its database's
 * files. The file named in ENDS_AT holds the number; 0: it goes on. Negative: it goes on, but from that
 * change on the disk is full. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int64_t *left;

__attribute__((constructor)) static void find_number(void) {
    int file = open(getenv("ENDS_AT"), O_RDWR | O_CLOEXEC);
    void *mapped = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || mapped == MAP_FAILED) {
        _exit(99);
    }
    close(file);
    left = mapped;
}

/* False: there is no room for it. */
static bool step(void) {
    int64_t before = *left;
    while ((before > 0 && !atomic_compare_exchange_weak(left, &before, before - 1)) ||
           (before < -1 && !atomic_compare_exchange_weak(left, &before, before + 1))) {
    }
    if (before == 1) {
        syscall(SYS_exit_group, 137);
    }
    errno = ENOSPC;
    return before != -1;
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    return step() ? syscall(SYS_pwrite64, file, bytes, length, at) : -1;
}

int fdatasync(int file) {
    return step() ? (int)syscall(SYS_fdatasync, file) : -1;
}

int ftruncate64(int file, off64_t length) {
    (void)step();
    return (int)syscall(SYS_ftruncate, file, length);
}
