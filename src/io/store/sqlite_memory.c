#include "sqlite.h"

#include "base/memory.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdalign.h>

/* SQLite asks for the size of a block, which the program's allocator doesn't tell: it stands before the
 * block. */
typedef struct header {
    alignas(max_align_t) int size;
} header;

static void *hook_allocate(int size) {
    header *h = size <= 0 ? NULL : memory_allocate(sizeof *h + (size_t)size);
    if (h == NULL) {
        return NULL;
    }
    h->size = size;
    return h + 1;
}

static void hook_free(void *block) {
    if (block != NULL) {
        memory_free((header *)block - 1);
    }
}

static void *hook_resize(void *block, int size) {
    header *h = size <= 0 ? NULL : memory_resize((header *)block - 1, sizeof *h + (size_t)size);
    if (h == NULL) {
        return NULL;
    }
    h->size = size;
    return h + 1;
}

static int hook_size(void *block) {
    return block == NULL ? 0 : ((header *)block - 1)->size;
}

static int hook_round_up(int size) {
    return (size + 7) & ~7;
}

static int hook_start(void *unused) {
    (void)unused;
    return SQLITE_OK;
}

static void hook_stop(void *unused) {
    (void)unused;
}

static const sqlite3_mem_methods methods = {.xMalloc = hook_allocate,
                                            .xFree = hook_free,
                                            .xRealloc = hook_resize,
                                            .xSize = hook_size,
                                            .xRoundup = hook_round_up,
                                            .xInit = hook_start,
                                            .xShutdown = hook_stop};

static int installed = SQLITE_ERROR;

static void install(void) {
    installed = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    if (installed == SQLITE_OK) {
        installed = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    }
}

bool sqlite_memory_install(error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    if (installed != SQLITE_OK) {
        return error_set(err, ERROR_INTERNAL, "SQLite was used before the store was opened");
    }
    return sqlite3_initialize() == SQLITE_OK || error_memory(err);
}
