#include "app_model/packed_file.h"

#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE_PART = 64 * 1024 * 1024 };

static bool fail(error *err, const char *act, const char *path) {
    return error_set_errno(err, ERROR_IO, errno, "%s %s", act, path);
}

/* Only what nobody else can have written. */
static bool check_owner(const packed_file *f, const char *path, struct stat *status, error *err) {
    if (fstat(f->descriptor, status) != 0) {
        return fail(err, "looking at", path);
    }
    bool good = S_ISREG(status->st_mode) && status->st_uid == geteuid() && status->st_nlink == 1 &&
                (status->st_mode & (S_IRWXG | S_IRWXO)) == 0;
    return good ||
           error_set(err, ERROR_DENIED, "%s is not this user's alone: remove it, it is made anew", path);
}

static bool lock(packed_file *f, const char *path, error *err) {
    f->may_write = flock(f->descriptor, LOCK_EX | LOCK_NB) == 0;
    return f->may_write || flock(f->descriptor, LOCK_SH | LOCK_NB) == 0 ||
           error_set(err, ERROR_CONFLICT, "another process is writing %s", path);
}

static bool map(packed_file *f, const char *path, const struct stat *status, error *err) {
    if (status->st_size <= 0 || (uintmax_t)status->st_size > SIZE_MAX) {
        return true;
    }
    size_t length = (size_t)status->st_size;
    void *place = mmap(NULL, length, PROT_READ, MAP_PRIVATE, f->descriptor, 0);
    if (place == MAP_FAILED) {
        return fail(err, "mapping", path);
    }
    f->content = slice_of(place, length);
    return true;
}

bool packed_file_open(packed_file *f, const char *model, error *err) {
    char path[PATH_MAX];
    struct stat status;
    *f = (packed_file){.descriptor = -1};
    int length = snprintf(path, sizeof path, "%s.packed", model);
    if (length < 0 || (size_t)length >= sizeof path) {
        return error_set(err, ERROR_INVALID, "the path of the model is too long");
    }
    f->descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (f->descriptor < 0) {
        return fail(err, "opening", path);
    }
    /* The size is asked for under the lock: nobody changes it any more. */
    if (!check_owner(f, path, &status, err) || !lock(f, path, err) || !check_owner(f, path, &status, err) ||
        !map(f, path, &status, err)) {
        packed_file_close(f);
        return false;
    }
    return true;
}

void packed_file_keep(packed_file *f) {
    f->may_write = false;
    (void)flock(f->descriptor, LOCK_SH | LOCK_NB);
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
    return fsync(file) == 0;
}

typedef struct telling {
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
} telling;

/* Synced part by part, so that nobody waits long for a word. */
static bool write_image(int file, const slice pieces[2], const telling *t) {
    if (ftruncate(file, 0) != 0 || lseek(file, (off_t)pieces[0].length, SEEK_SET) < 0) {
        return false;
    }
    for (size_t done = 0; done < pieces[1].length; done += WRITE_PART) {
        t->progress(t->context, done, pieces[1].length);
        if (!write_whole(file, slice_part(pieces[1], done, WRITE_PART))) {
            return false;
        }
    }
    return lseek(file, 0, SEEK_SET) == 0 && write_whole(file, pieces[0]);
}

bool packed_file_write(packed_file *f, const slice pieces[2],
                       void (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                       error *err) {
    const telling t = {progress, context};
    file_unmap(f->content);
    f->content = (slice){NULL, 0};
    bool good = write_image(f->descriptor, pieces, &t);
    if (!good) {
        fail(err, "writing", "the packed weights");
        (void)!ftruncate(f->descriptor, 0);
    }
    packed_file_keep(f);
    return good;
}

void packed_file_close(packed_file *f) {
    file_unmap(f->content);
    if (f->descriptor >= 0) {
        close(f->descriptor);
    }
    *f = (packed_file){.descriptor = -1};
}
