#ifndef STORE_FILES_SUPPORT_H
#define STORE_FILES_SUPPORT_H

/* What stands in the database's files; of a server's those of its tables, indexes and statistics, not its
 * log. */
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

/* In how many files of the database, as the server itself reads them. */
static inline size_t count_in_server_files(const place *p, slice needle) {
    enum { NEEDLE_MAX = 100 };
    char hex[2 * NEEDLE_MAX + 1] = "";
    char sql[600];
    assert_in_range(needle.length, 1, NEEDLE_MAX);
    for (size_t i = 0; i < needle.length; i++) {
        snprintf(hex + 2 * i, 3, "%02x", needle.data[i]);
    }
    outside o = outside_open(p);
    outside_ask(&o, "CHECKPOINT");
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM (SELECT concat('base/', oid) AS folder FROM pg_database "
             "WHERE datname = current_database()) AS d, pg_ls_dir(folder) AS name, "
             "concat(folder, '/', name) AS path "
             "WHERE position(decode('%s', 'hex') IN "
             "pg_read_binary_file(path, 0, (pg_stat_file(path, true)).size, true)) > 0",
             hex);
    size_t found = (size_t)outside_ask(&o, sql);
    outside_close(&o);
    return found;
}

static inline size_t count_slice_in_files(const place *p, slice needle) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    size_t found = 0;
    if (p->folder[0] == '\0') {
        return count_in_server_files(p, needle);
    }
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
