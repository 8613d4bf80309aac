#ifndef STORE_FILES_SUPPORT_H
#define STORE_FILES_SUPPORT_H

/* What stands in the database's files. */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>

/* How often `needle` stands in a file; 0 if there is none. */
static inline size_t count_in_file(const char *path, slice needle) {
    int file = open(path, O_RDONLY);
    struct stat status;
    if (file < 0) {
        return 0;
    }
    assert_int_equal(fstat(file, &status), 0);
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(file, bytes, size), size);
    close(file);
    size_t found = 0;
    slice rest = slice_of(bytes, size);
    for (size_t at; (at = slice_find_slice(rest, needle)) != SIZE_MAX; found++) {
        rest = slice_after(rest, at + 1);
    }
    free(bytes);
    return found;
}

static inline size_t count_slice_in_files(const place *p, slice needle) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    size_t found = 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s%s", p->path, suffixes[i]);
        found += count_in_file(path, needle);
    }
    return found;
}

static inline size_t count_in_files(const place *p, const char *needle) {
    return count_slice_in_files(p, slice_of_text(needle));
}

/* The same at each run. */
static inline uint32_t draw_of(uint64_t number) {
    uint32_t x = (uint32_t)number + 1;
    x = (x ^ x >> 16) * 0x7feb352dU;
    x = (x ^ x >> 15) * 0x846ca68bU;
    return x ^ x >> 16;
}

#endif
