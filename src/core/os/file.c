#include "os/file.h"

#include "base/fault.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 64 * 1024 };

static error_code code_of_errno(int value) {
    switch (value) {
    case ENOENT:
    case ENOTDIR:
        return ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERROR_DENIED;
    case ENOMEM:
        return ERROR_MEMORY;
    default:
        return ERROR_IO;
    }
}

static bool fail(error *err, const char *act, const char *path) {
    int cause = errno;
    return error_set_errno(err, code_of_errno(cause), cause, "%s %s", act, path);
}

bool file_exists(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

/* A descriptor of a regular file, or -1. O_NONBLOCK: opening a FIFO must not wait for its writer. */
static int open_regular(const char *path, struct stat *status, error *err) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) {
        fail(err, "opening", path);
        return -1;
    }
    if (fstat(file, status) != 0) {
        fail(err, "looking at", path);
    } else if (!S_ISREG(status->st_mode)) {
        error_set(err, ERROR_INVALID, "%s is not a regular file", path);
    } else {
        return file;
    }
    close(file);
    return -1;
}

/* One read into `content`; a full buffer reads one byte more, only to learn whether the file ends there. */
static bool read_step(int file, buffer *content, const char *path, size_t *got, error *err) {
    size_t room = content->limit - buffer_length(content);
    uint8_t beyond = 0;
    size_t length = room == 0 ? 1 : room < READ_STEP ? room : READ_STEP;
    uint8_t *place = room == 0 ? &beyond : buffer_reserve(content, length);
    if (place == NULL) {
        return error_memory(err);
    }
    ssize_t count = 0;
    do {
        count = read(file, place, length);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        return fail(err, "reading", path);
    }
    if (room == 0 && count > 0) {
        return error_set(err, ERROR_LIMIT, "%s is larger than the %zu bytes allowed", path, content->limit);
    }
    if (room > 0) {
        buffer_commit(content, (size_t)count);
    }
    *got = (size_t)count;
    return true;
}

static bool read_descriptor(int file, off_t size, buffer *content, const char *path, error *err) {
    if (buffer_failed(content) || buffer_length(content) > content->limit) {
        return error_set(err, ERROR_INTERNAL, "reading %s into a buffer that has failed", path);
    }
    size_t before = buffer_length(content);
    size_t room = content->limit - before;
    /* All at once where the size is known: a buffer that grows would leave copies of a secret behind. */
    bool good = size < 0 || (uintmax_t)size > room || buffer_reserve(content, (size_t)size) != NULL ||
                error_memory(err);
    for (size_t got = 1; good && got > 0;) {
        good = read_step(file, content, path, &got, err);
    }
    if (!good) {
        if (content->bytes != NULL) {
            explicit_bzero(content->bytes + content->start + before,
                           content->capacity - content->start - before);
        }
        content->end = content->start + before;
        content->failed = false;
    }
    return good;
}

bool file_read_all(const char *path, buffer *content, error *err) {
    struct stat status;
    int file = open_regular(path, &status, err);
    if (file < 0) {
        return false;
    }
    bool good = read_descriptor(file, status.st_size, content, path, err);
    close(file);
    return good;
}

bool file_read_input(const char *path, buffer *content, error *err) {
    return strcmp(path, "-") == 0 ? read_descriptor(STDIN_FILENO, -1, content, "standard input", err)
                                  : file_read_all(path, content, err);
}

bool file_read_private(const char *path, buffer *content, error *err) {
    struct stat status;
    int file = open_regular(path, &status, err);
    if (file < 0) {
        return false;
    }
    bool good = false;
    if (status.st_uid != geteuid() && status.st_uid != 0) {
        error_set(err, ERROR_DENIED, "%s belongs to another user: it must be this user's own", path);
    } else if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        error_set(err, ERROR_DENIED, "%s is open to others (mode %04o): run `chmod 600` on it", path,
                  (unsigned)status.st_mode & 07777);
    } else {
        good = read_descriptor(file, status.st_size, content, path, err);
    }
    close(file);
    return good;
}

static bool write_whole(int file, slice content) {
    while (content.length > 0) {
        ssize_t written = write(file, content.data, content.length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        content = slice_after(content, (size_t)written);
    }
    return true;
}

/* The fault point of one step: as if the disk were full. */
static bool step_fails(void) {
    if (!fault_here("write")) {
        return false;
    }
    errno = ENOSPC;
    return true;
}

static int open_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    char *folder = memory_allocate(length + 2);
    if (folder == NULL) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(folder, length == 0 ? "." : path, length == 0 ? 1 : length);
    folder[length == 0 ? 1 : length] = '\0';
    int descriptor = step_fails() ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int cause = errno;
    memory_free(folder);
    errno = cause;
    return descriptor;
}

static bool fill_temporary(int file, slice content, unsigned mode) {
    bool good = !step_fails() && fchmod(file, (mode_t)mode) == 0;
    good = good && !step_fails() && write_whole(file, content);
    good = good && !step_fails() && fsync(file) == 0;
    int cause = errno;
    bool closed = close(file) == 0;
    if (!good) {
        errno = cause;
    }
    return good && closed;
}

/* In place of `path`, or gone. */
static bool write_temporary(char *temporary, const char *path, slice content, unsigned mode) {
    int file = step_fails() ? -1 : mkostemp(temporary, O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    bool good = fill_temporary(file, content, mode) && !step_fails() && rename(temporary, path) == 0;
    if (!good) {
        int cause = errno;
        unlink(temporary);
        errno = cause;
    }
    return good;
}

bool file_write_atomic(const char *path, slice content, unsigned mode, error *err) {
    static const char suffix[] = ".new-XXXXXX";
    size_t length = strlen(path);
    char *temporary = memory_allocate(length + sizeof suffix);
    if (temporary == NULL) {
        return error_memory(err);
    }
    memcpy(temporary, path, length);
    memcpy(temporary + length, suffix, sizeof suffix);
    int folder = open_folder_of(path);
    bool good = folder >= 0 && write_temporary(temporary, path, content, mode) && !step_fails() &&
                (fsync(folder) == 0 || errno == EINVAL); /* EINVAL: this file system cannot sync folders */
    good = good || fail(err, "writing", path);
    if (folder >= 0) {
        close(folder);
    }
    memory_free(temporary);
    return good;
}

bool file_replace(const char *from, const char *to, error *err) {
    int folder = open_folder_of(to);
    bool good = folder >= 0 && !step_fails() && rename(from, to) == 0 && !step_fails() &&
                (fsync(folder) == 0 || errno == EINVAL);
    good = good || fail(err, "writing", to);
    if (folder >= 0) {
        close(folder);
    }
    return good;
}

bool file_remove(const char *path, error *err) {
    int folder = open_folder_of(path);
    bool good = folder >= 0 && !step_fails() && (unlink(path) == 0 || errno == ENOENT) && !step_fails() &&
                (fsync(folder) == 0 || errno == EINVAL);
    good = good || fail(err, "removing", path);
    if (folder >= 0) {
        close(folder);
    }
    return good;
}

bool file_make_folder(const char *path, unsigned mode, error *err) {
    if (mkdir(path, 0700) == 0) {
        return chmod(path, (mode_t)mode) == 0 || fail(err, "setting the mode of", path);
    }
    struct stat status;
    if (errno != EEXIST) {
        return fail(err, "making folder", path);
    }
    if (stat(path, &status) != 0) {
        return fail(err, "looking at", path);
    }
    if (!S_ISDIR(status.st_mode)) {
        return error_set(err, ERROR_CONFLICT, "%s is there and is not a folder", path);
    }
    if ((status.st_uid != geteuid() && status.st_uid != 0) || (status.st_mode & S_IWOTH) != 0) {
        return error_set(err, ERROR_DENIED,
                         "%s is another user's, or open to all for writing: choose a folder of your own",
                         path);
    }
    return true;
}

bool file_folder_is_empty(const char *path, bool *empty, error *err) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return fail(err, "opening folder", path);
    }
    *empty = true;
    errno = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        *empty = *empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    }
    bool read = errno == 0 || fail(err, "reading folder", path);
    closedir(folder);
    return read;
}

bool file_map(const char *path, slice *bytes, error *err) {
    *bytes = (slice){NULL, 0};
    struct stat status;
    int file = open_regular(path, &status, err);
    if (file < 0) {
        return false;
    }
    bool good = true;
    if (status.st_size < 0 || (uintmax_t)status.st_size > SIZE_MAX) {
        good = error_set(err, ERROR_LIMIT, "%s is too large to map", path);
    } else if (status.st_size > 0) {
        size_t length = (size_t)status.st_size;
        void *place = mmap(NULL, length, PROT_READ, MAP_PRIVATE, file, 0);
        good = place != MAP_FAILED || fail(err, "mapping", path);
        if (good) {
            *bytes = slice_of(place, length);
        }
    }
    close(file);
    return good;
}

void file_unmap(slice bytes) {
    if (bytes.length > 0) {
        munmap((void *)(uintptr_t)bytes.data, bytes.length);
    }
}

/* Pages that are only partly within stay. */
void file_drop(slice part) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)part.data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)part.data + part.length) / page * page;
    if (part.length > 0 && start < end) {
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
}
