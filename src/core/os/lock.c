#include "os/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

struct file_lock {
    int file;
};

/* What the holder wrote, cut at the end of its line; "unknown" if nothing sensible. */
static void read_holder(int file, char *text, size_t size) {
    ssize_t length = pread(file, text, size - 1, 0);
    slice number = length <= 0 ? (slice){NULL, 0} : slice_of(text, (size_t)length);
    size_t line = slice_find(number, '\n');
    uint64_t pid = 0;
    if (line < number.length && slice_to_u64(slice_part(number, 0, line), &pid)) {
        text[line] = '\0';
    } else {
        snprintf(text, size, "unknown");
    }
}

static bool take(int file, const char *path, error *err) {
    int result = 0;
    do {
        result = flock(file, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) {
        char holder[32];
        read_holder(file, holder, sizeof holder);
        return error_set(err, ERROR_CONFLICT, "%s is held by another process (pid %s): stop that one first",
                         path, holder);
    }
    if (result != 0) {
        return error_set_errno(err, ERROR_IO, errno, "locking %s", path);
    }
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(file, 0) != 0 || pwrite(file, text, (size_t)length, 0) != length) {
        return error_set_errno(err, ERROR_IO, errno, "writing the pid into %s", path);
    }
    return true;
}

file_lock *file_lock_take(const char *path, error *err) {
    file_lock *lock = memory_allocate(sizeof *lock);
    if (lock == NULL) {
        error_memory(err);
        return NULL;
    }
    lock->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    if (lock->file < 0) {
        error_set_errno(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO, errno, "opening %s", path);
        memory_free(lock);
        return NULL;
    }
    if (!take(lock->file, path, err)) {
        close(lock->file);
        memory_free(lock);
        return NULL;
    }
    return lock;
}

void file_lock_release(file_lock *lock) {
    if (lock == NULL) {
        return;
    }
    close(lock->file); /* the last close of the description ends the lock */
    memory_free(lock);
}
