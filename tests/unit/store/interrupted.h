#ifndef STORE_INTERRUPTED_H
#define STORE_INTERRUPTED_H

/* Work on a database, in steps that are each answered, interrupted at each place where it changes a file, in
 * each of the ways of disk_faults.h. Afterwards what was answered is there, and of what was under way all or
 * nothing; the work goes on from there to its end. */
#include "disk_faults.h"
#include "memory_changes.h"

#include "store/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { STEPS_MAX = 8 };

/* Blocks that were freed would make each process larger that is forked. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=1";
}

typedef struct work {
    const char *name;
    void (*prepare)(void); /* fills `here` and `site` */
    unsigned steps;
    /* On `site`. False, with the outcome's code: it was refused. */
    error_code (*step)(unsigned i);
    void (*check)(unsigned done); /* on `site`, when so many steps are done; NULL: the digest says it all */
    uint32_t scrub_after_ms;      /* as store_options' */
    bool whole;                   /* opening and closing are interrupted, too */
    unsigned stride;              /* 0: at each place; else at each of the first and then at every so many */
} work;

/* What is known outside of a process that is killed. */
typedef struct progress {
    unsigned answered;
    error_code wrong; /* an error that doesn't come of the fault */
} progress;

/* The database's files as they are before. */
typedef struct image {
    uint8_t *bytes;
    size_t length;
} image;

static const char *const image_suffixes[] = {"", "-wal"};

static inline void image_path(size_t which, char path[300]) {
    snprintf(path, 300, "%s%s", here.path, image_suffixes[which]);
}

static inline image image_read(size_t which) {
    char path[300];
    struct stat status;
    image read_image = {0};
    image_path(which, path);
    int file = open(path, O_RDONLY);
    if (file >= 0) {
        assert_int_equal(fstat(file, &status), 0);
        read_image.length = (size_t)status.st_size;
        read_image.bytes = malloc(read_image.length + 1);
        assert_non_null(read_image.bytes);
        assert_int_equal(read(file, read_image.bytes, read_image.length), read_image.length);
        close(file);
    }
    return read_image;
}

static inline void image_write(size_t which, const image *from) {
    char path[300];
    image_path(which, path);
    unlink(path);
    if (from->bytes != NULL) {
        int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(file >= 0);
        assert_int_equal(write(file, from->bytes, from->length), from->length);
        close(file);
    }
}

static inline void restore(const image images[2]) {
    char index[300];
    snprintf(index, sizeof index, "%s-shm", here.path);
    unlink(index);
    image_write(0, &images[0]);
    image_write(1, &images[1]);
}

static inline store *open_or_not(const work *w) {
    store_options options = {.path = here.path, .busy_timeout_ms = 50, .scrub_after_ms = w->scrub_after_ms};
    return store_open(&options, &err);
}

/* Steps from `from` on until one is refused. A step that found the disk full is done once there is room. */
static inline void run_steps(const work *w, unsigned from, progress *p) {
    for (unsigned i = from; i < w->steps; i++) {
        error_code code = w->step(i);
        if (code == ERROR_IO && disk.reached && disk.fault == DISK_FULL_FOR_A_WHILE) {
            disk_disarm();
            code = w->step(i);
        }
        if (code != ERROR_NONE) {
            p->wrong = code == ERROR_IO && disk.reached ? ERROR_NONE : code;
            return;
        }
        p->answered = i + 1;
    }
}

static inline store *open_for(const work *w, disk_fault fault, unsigned nth) {
    disk.reached = false;
    if (w->whole) {
        disk_arm(fault, nth);
    }
    store *opened = open_or_not(w);
    if (opened == NULL && err.code == ERROR_IO && disk.reached && fault == DISK_FULL_FOR_A_WHILE) {
        disk_disarm();
        opened = open_or_not(w);
    }
    if (!w->whole) {
        disk_arm(fault, nth);
    }
    return opened;
}

static inline void work_through(const work *w, disk_fault fault, unsigned nth, progress *p) {
    site = open_for(w, fault, nth);
    if (site == NULL) {
        p->wrong = err.code == ERROR_IO && disk.reached ? ERROR_NONE : err.code;
    } else {
        run_steps(w, 0, p);
    }
    if (!w->whole) {
        disk_disarm();
    }
    store_close(site);
    disk_disarm();
}

/* False: the work met no fault. */
static inline bool interrupt(const work *w, disk_fault fault, unsigned nth, progress *p) {
    *p = (progress){0};
    if (!disk_kills(fault)) {
        work_through(w, fault, nth, p);
        return disk.reached;
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work_through(w, fault, nth, p);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : status == 0);
    return WIFSIGNALED(status);
}

static inline void check_files(void) {
    assert_int_equal(count_rows(&here, "pragma_foreign_key_check"), 0);
    assert_int_equal(count_rows(&here, "pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

/* As many steps as are done: those that were answered, or one more. */
static inline unsigned find_done(const work *w, const uint64_t digests[STEPS_MAX + 1], const progress *p) {
    uint64_t now = digest_kept();
    unsigned next = p->answered < w->steps ? p->answered + 1 : p->answered;
    bool as_answered = now == digests[p->answered];
    if (!as_answered && now != digests[next]) {
        print_error("%s: after %u answered steps it is neither as before nor as after the next\n", w->name,
                    p->answered);
        fail();
    }
    return as_answered ? p->answered : next;
}

static inline void check_interrupted(const work *w, const uint64_t digests[STEPS_MAX + 1], progress *p) {
    assert_int_equal(p->wrong, ERROR_NONE);
    site = open_or_not(w);
    assert_non_null(site);
    unsigned done = find_done(w, digests, p);
    check_files();
    if (w->check != NULL) {
        w->check(done);
    }
    run_steps(w, done, p);
    assert_int_equal(p->wrong, ERROR_NONE);
    assert_true(digest_kept() == digests[w->steps]);
    if (w->check != NULL) {
        w->check(w->steps);
    }
    store_close(site);
    check_files();
}

static inline void rehearse(const work *w, image images[2], uint64_t digests[STEPS_MAX + 1]) {
    assert_in_range(w->steps, 0, STEPS_MAX);
    w->prepare();
    disk_install();
    for (size_t i = 0; i < 2; i++) {
        images[i] = image_read(i);
    }
    site = open_or_not(w);
    assert_non_null(site);
    digests[0] = digest_kept();
    for (unsigned i = 0; i < w->steps; i++) {
        if (w->check != NULL) {
            w->check(i);
        }
        assert_int_equal(w->step(i), ERROR_NONE);
        digests[i + 1] = digest_kept();
    }
    store_close(site);
}

enum { EACH_OF_THE_FIRST = 20 };

/* Gives at how many places it was. */
static inline unsigned interrupt_everywhere(const work *w) {
    image images[2];
    uint64_t digests[STEPS_MAX + 1];
    unsigned places = 0;
    progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    rehearse(w, images, digests);
    for (disk_fault fault = 0; fault < DISK_FAULTS; fault++) {
        unsigned nth = 0;
        restore(images);
        while (interrupt(w, fault, nth, p)) {
            check_interrupted(w, digests, p);
            places++;
            nth += nth < EACH_OF_THE_FIRST || w->stride == 0 ? 1 : w->stride;
            restore(images);
        }
        assert_int_equal(p->wrong, ERROR_NONE);
        assert_int_equal(p->answered, w->steps);
    }
    munmap(p, sizeof *p);
    free(images[0].bytes);
    free(images[1].bytes);
    place_remove(&here);
    return places;
}

#endif
