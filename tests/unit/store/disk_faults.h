#ifndef STORE_DISK_FAULTS_H
#define STORE_DISK_FAULTS_H

/* Between SQLite and its files: the nth step that changes one of them ends the process, or finds the disk
 * full. Steps are writes, syncs, truncations, removals, and each time that the index of the log grows. One
 * thread. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

typedef enum disk_fault {
    DISK_KILL_BEFORE,      /* SIGKILL before the step */
    DISK_KILL_WITHIN,      /* when half of a write is done */
    DISK_FULL_FOR_A_WHILE, /* from the step on nothing can be written, half of that one is; then there is room
                            */
    DISK_FULL_UNTIL_RESTART, /* the same until the program has ended */
    DISK_FAULTS
} disk_fault;

static struct {
    sqlite3_vfs *real;
    disk_fault fault;
    bool armed;
    bool reached;
    unsigned before; /* steps still to be done */
} disk;

typedef struct disk_file {
    sqlite3_file base;
    sqlite3_file *real;
} disk_file;

static inline sqlite3_file *disk_real(sqlite3_file *file) {
    return ((disk_file *)file)->real;
}

/* The nth step from now, 0 is the next; a file at a time is open that SQLite opened after disk_install. */
static inline void disk_arm(disk_fault fault, unsigned nth) {
    disk.fault = fault;
    disk.before = nth;
    disk.reached = false;
    disk.armed = true;
}

/* There is room again. */
static inline void disk_disarm(void) {
    disk.armed = false;
}

static inline bool disk_kills(disk_fault fault) {
    return fault == DISK_KILL_BEFORE || fault == DISK_KILL_WITHIN;
}

static inline void disk_end_process(void) {
    kill(getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

/* Only a write is done by halves. */
static inline bool disk_passes_over(void) {
    return !disk.armed || disk.fault == DISK_KILL_WITHIN;
}

/* A step begins. True: the fault is there. */
static inline bool disk_step(void) {
    if (!disk.armed) {
        return false;
    }
    if (disk.before > 0) {
        disk.before--;
        return false;
    }
    disk.reached = true;
    if (disk.fault == DISK_KILL_BEFORE) {
        disk_end_process();
    }
    return true;
}

static inline int disk_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at) {
    sqlite3_file *real = disk_real(file);
    if (!disk_step()) {
        return real->pMethods->xWrite(real, bytes, length, at);
    }
    (void)real->pMethods->xWrite(real, bytes, length / 2, at);
    if (disk.fault == DISK_KILL_WITHIN) {
        disk_end_process();
    }
    errno = ENOSPC;
    return SQLITE_FULL;
}

/* Where a write can't be put off any longer there may turn out to be no room for it. */
static inline int disk_sync(sqlite3_file *file, int flags) {
    sqlite3_file *real = disk_real(file);
    bool fails = !disk_passes_over() && disk_step();
    errno = ENOSPC;
    return fails ? SQLITE_IOERR_FSYNC : real->pMethods->xSync(real, flags);
}

static inline int disk_truncate(sqlite3_file *file, sqlite3_int64 size) {
    sqlite3_file *real = disk_real(file);
    if (disk.fault == DISK_KILL_BEFORE) {
        (void)disk_step();
    }
    return real->pMethods->xTruncate(real, size);
}

static inline int disk_map_index(sqlite3_file *file, int page, int size, int grow, void volatile **at) {
    sqlite3_file *real = disk_real(file);
    bool fails = grow != 0 && !disk_passes_over() && disk_step();
    errno = ENOSPC;
    return fails ? SQLITE_IOERR_SHMSIZE : real->pMethods->xShmMap(real, page, size, grow, at);
}

static inline int disk_remove(sqlite3_vfs *unused, const char *path, int sync) {
    (void)unused;
    if (disk.fault == DISK_KILL_BEFORE) {
        (void)disk_step();
    }
    return disk.real->xDelete(disk.real, path, sync);
}

#define DISK_PASS_ON(name, parameters, ...)                                                                  \
    static inline int disk_##name parameters {                                                               \
        sqlite3_file *real = disk_real(file);                                                                \
        return real->pMethods->name(__VA_ARGS__);                                                            \
    }
DISK_PASS_ON(xClose, (sqlite3_file * file), real)
DISK_PASS_ON(xRead, (sqlite3_file * file, void *bytes, int length, sqlite3_int64 at), real, bytes, length, at)
DISK_PASS_ON(xFileSize, (sqlite3_file * file, sqlite3_int64 *size), real, size)
DISK_PASS_ON(xLock, (sqlite3_file * file, int level), real, level)
DISK_PASS_ON(xUnlock, (sqlite3_file * file, int level), real, level)
DISK_PASS_ON(xCheckReservedLock, (sqlite3_file * file, int *is), real, is)
DISK_PASS_ON(xFileControl, (sqlite3_file * file, int operation, void *argument), real, operation, argument)
DISK_PASS_ON(xSectorSize, (sqlite3_file * file), real)
DISK_PASS_ON(xDeviceCharacteristics, (sqlite3_file * file), real)
DISK_PASS_ON(xShmLock, (sqlite3_file * file, int offset, int count, int flags), real, offset, count, flags)
DISK_PASS_ON(xShmUnmap, (sqlite3_file * file, int remove), real, remove)

static inline void disk_barrier(sqlite3_file *file) {
    sqlite3_file *real = disk_real(file);
    real->pMethods->xShmBarrier(real);
}

static inline int disk_open(sqlite3_vfs *unused, const char *path, sqlite3_file *file, int flags,
                            int *given) {
    static const sqlite3_io_methods methods = {.iVersion = 2,
                                               .xClose = disk_xClose,
                                               .xRead = disk_xRead,
                                               .xWrite = disk_write,
                                               .xTruncate = disk_truncate,
                                               .xSync = disk_sync,
                                               .xFileSize = disk_xFileSize,
                                               .xLock = disk_xLock,
                                               .xUnlock = disk_xUnlock,
                                               .xCheckReservedLock = disk_xCheckReservedLock,
                                               .xFileControl = disk_xFileControl,
                                               .xSectorSize = disk_xSectorSize,
                                               .xDeviceCharacteristics = disk_xDeviceCharacteristics,
                                               .xShmMap = disk_map_index,
                                               .xShmLock = disk_xShmLock,
                                               .xShmBarrier = disk_barrier,
                                               .xShmUnmap = disk_xShmUnmap};
    (void)unused;
    disk_file *own = (disk_file *)file;
    own->real = (sqlite3_file *)(own + 1);
    int code = disk.real->xOpen(disk.real, path, own->real, flags, given);
    own->base.pMethods = own->real->pMethods == NULL ? NULL : &methods;
    return code;
}

/* From here on, for the rest of the program. The store is the first to use SQLite: it has opened a database.
 */
static inline void disk_install(void) {
    static sqlite3_vfs between;
    if (disk.real != NULL) {
        return;
    }
    disk.real = sqlite3_vfs_find(NULL);
    assert_non_null(disk.real);
    between = *disk.real;
    between.pNext = NULL;
    between.zName = "faulty";
    between.szOsFile = (int)sizeof(disk_file) + disk.real->szOsFile;
    between.xOpen = disk_open;
    between.xDelete = disk_remove;
    assert_int_equal(sqlite3_vfs_register(&between, 1), SQLITE_OK);
}

#endif
