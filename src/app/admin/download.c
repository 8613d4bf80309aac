#include "download.h"

#include "options/terminal.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

typedef struct download {
    char part[PATH_SIZE]; /* what is there of the file */
    FILE *out;
} download;

static bool take_bytes(void *context, slice bytes, error *err) {
    const download *d = context;
    if (d->out == stdout) {
        terminal_write(stdout, bytes);
        return ferror(stdout) == 0 || error_set_errno(err, ERROR_IO, errno, "writing it");
    }
    return fwrite(bytes.data, 1, bytes.length, d->out) == bytes.length ||
           error_set_errno(err, ERROR_IO, errno, "writing %s", d->part);
}

/* One that was left by somebody who was killed is begun anew; it may not be another's link. */
static bool open_part(download *d, const char *file, error *err) {
    int length = snprintf(d->part, sizeof d->part, "%s.part", file);
    if (length < 0 || length >= (int)sizeof d->part) {
        return error_set(err, ERROR_LIMIT, "the file's name is too long");
    }
    (void)unlink(d->part);
    int descriptor = open(d->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    d->out = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (d->out == NULL && descriptor >= 0) {
        close(descriptor);
    }
    return d->out != NULL || error_set_errno(err, ERROR_IO, errno, "making %s", d->part);
}

static bool close_part(download *d, error *err) {
    bool written = fflush(d->out) == 0 && fsync(fileno(d->out)) == 0;
    int reason = errno;
    written = fclose(d->out) == 0 && written;
    d->out = NULL;
    return written || error_set_errno(err, ERROR_IO, reason, "writing %s", d->part);
}

static bool save(api *a, const char *path, const char *file, error *err) {
    download d = {.out = NULL};
    if (!open_part(&d, file, err)) {
        return false;
    }
    bool got = api_download(a, path, take_bytes, &d, err);
    bool written = close_part(&d, got ? err : &(error){0}) && got && file_replace(d.part, file, err);
    if (!written) {
        (void)unlink(d.part);
    }
    return written;
}

static bool show(api *a, const char *path, error *err) {
    download d = {.out = stdout};
    return api_download(a, path, take_bytes, &d, err) &&
           (fflush(stdout) == 0 || error_set_errno(err, ERROR_IO, errno, "writing it"));
}

int admin_download(const admin_options *options, const char *program, const char *path, const char *file) {
    error err = {0};
    api *a = api_open(&options->pool, &err);
    bool done = a != NULL && (strcmp(file, "-") == 0 ? show(a, path, &err) : save(a, path, file, &err));
    api_close(a);
    return done ? 0 : options_fail(program, &err);
}
