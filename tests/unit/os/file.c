#include "os/file.h"

#include "unit.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static char path[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cellule-file-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

/* Entries but "." and "..", all removed. */
static size_t empty_folder(void) {
    size_t count = 0;
    DIR *open = opendir(folder);
    assert_non_null(open);
    for (const struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            assert_int_equal(remove(name), 0);
            count++;
        }
    }
    closedir(open);
    return count;
}

static int remove_folder(void **state) {
    (void)state;
    empty_folder();
    return rmdir(folder);
}

static void assert_content(slice expected) {
    error err;
    buffer content = buffer_make(1 << 20);
    assert_true(file_read_all(path, &content, &err));
    assert_true(slice_equal(buffer_slice(&content), expected));
    buffer_free(&content);
}

static unsigned mode_of(const char *name) {
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    return (unsigned)status.st_mode & 07777;
}

static void test_what_is_written_is_read_back_with_its_mode(void **state) {
    (void)state;
    error err;
    static uint8_t large[300000];
    memset(large, 'x', sizeof large);
    assert_true(file_write_atomic(path, slice_of(large, sizeof large), 0640, &err));
    assert_int_equal(mode_of(path), 0640);
    assert_content(slice_of(large, sizeof large));
    assert_true(file_write_atomic(path, SLICE_LITERAL(""), 0600, &err));
    assert_int_equal(mode_of(path), 0600);
    assert_content(SLICE_LITERAL(""));
    assert_int_equal(empty_folder(), 1);
}

static void test_a_relative_path_is_written_in_the_current_folder(void **state) {
    (void)state;
    error err;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    bool written = file_write_atomic("file", SLICE_LITERAL("here"), 0600, &err);
    assert_int_equal(chdir(before), 0);
    assert_true(written);
    assert_content(SLICE_LITERAL("here"));
    empty_folder();
}

/* Of the seven steps only the last, syncing the folder, comes after the rename. */
static void test_a_write_failing_at_any_step_leaves_old_or_new_and_nothing_beside(void **state) {
    (void)state;
    error err;
    bool reached = true;
    int old_kept = 0;
    for (int nth = 0; reached; nth++) {
        assert_true(file_write_atomic(path, SLICE_LITERAL("old"), 0600, &err));
        fault_fail_nth_at("write", nth);
        bool written = file_write_atomic(path, SLICE_LITERAL("new"), 0600, &err);
        reached = fault_stop();
        assert_int_equal(written, !reached);
        buffer content = buffer_make(16);
        error ignored;
        assert_true(file_read_all(path, &content, &ignored));
        bool old = slice_equal_text(buffer_slice(&content), "old");
        assert_true(old || slice_equal_text(buffer_slice(&content), "new"));
        assert_true(reached || !old);
        old_kept += old;
        if (reached) {
            assert_int_equal(err.code, ERROR_IO);
            assert_non_null(strstr(err.text, path));
        }
        buffer_free(&content);
        assert_int_equal(empty_folder(), 1);
    }
#ifdef CELLULE_FAULTS
    assert_int_equal(old_kept, 6);
#else
    assert_int_equal(old_kept, 0);
#endif
}

static void test_a_failed_allocation_leaves_the_file_and_the_buffer_as_they_were(void **state) {
    (void)state;
    error err;
    assert_true(file_write_atomic(path, SLICE_LITERAL("old"), 0600, &err));
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth(nth);
        bool written = file_write_atomic(path, SLICE_LITERAL("new"), 0600, &err);
        reached = fault_stop();
        assert_int_equal(written, !reached);
        assert_true(written || err.code == ERROR_MEMORY);
        assert_content(written ? SLICE_LITERAL("new") : SLICE_LITERAL("old"));
    }
    reached = true;
    for (int nth = 0; reached; nth++) {
        buffer content = buffer_make(1024);
        fault_fail_nth(nth);
        bool read = file_read_all(path, &content, &err);
        reached = fault_stop();
        assert_int_equal(read, !reached);
        assert_true(read || (buffer_length(&content) == 0 && !buffer_failed(&content)));
        buffer_free(&content);
    }
    empty_folder();
}

static void test_a_file_larger_than_the_buffer_may_hold_is_refused_and_one_as_large_is_not(void **state) {
    (void)state;
    error err;
    assert_true(file_write_atomic(path, SLICE_LITERAL("12345678"), 0600, &err));
    buffer content = buffer_make(8);
    assert_true(file_read_all(path, &content, &err));
    assert_int_equal(buffer_length(&content), 8);
    buffer_free(&content);
    content = buffer_make(9);
    assert_true(buffer_append_text(&content, "ab"));
    assert_false(file_read_all(path, &content, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_true(slice_equal_text(buffer_slice(&content), "ab"));
    assert_true(buffer_append_text(&content, "more"));
    buffer_free(&content);
    empty_folder();
}

static void test_what_is_not_a_regular_file_is_refused(void **state) {
    (void)state;
    error err;
    buffer content = buffer_make(100);
    assert_false(file_read_all(path, &content, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_false(file_exists(path));
    assert_false(file_read_all(folder, &content, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(file_exists(path));
    assert_false(file_read_all(path, &content, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    slice bytes;
    assert_false(file_map(path, &bytes, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    empty_folder();
}

static void test_a_secret_that_others_may_read_is_refused(void **state) {
    (void)state;
    error err;
    const unsigned open_modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0777};
    buffer content = buffer_make(100);
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        assert_true(file_write_atomic(path, SLICE_LITERAL("secret"), open_modes[i], &err));
        assert_false(file_read_private(path, &content, &err));
        assert_int_equal(err.code, ERROR_DENIED);
        assert_int_equal(buffer_length(&content), 0);
    }
    assert_true(file_write_atomic(path, SLICE_LITERAL("secret"), 0600, &err));
    assert_true(file_read_private(path, &content, &err));
    assert_true(slice_equal_text(buffer_slice(&content), "secret"));
    buffer_wipe(&content);
    empty_folder();
}

static void test_a_folder_is_made_once_with_its_mode(void **state) {
    (void)state;
    error err;
    bool empty = false;
    assert_false(file_folder_is_empty(path, &empty, &err));
    assert_true(file_make_folder(path, 0750, &err));
    assert_int_equal(mode_of(path), 0750);
    assert_true(file_folder_is_empty(path, &empty, &err) && empty);
    assert_true(file_folder_is_empty("/", &empty, &err) && !empty);
    assert_true(file_make_folder(path, 0700, &err));
    assert_int_equal(mode_of(path), 0750);
    assert_int_equal(chmod(path, 0757), 0);
    assert_false(file_make_folder(path, 0700, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    if (geteuid() == 0) {
        assert_int_equal(chmod(path, 0700), 0);
        assert_int_equal(chown(path, 12345, 0), 0);
        assert_false(file_make_folder(path, 0700, &err));
        assert_int_equal(err.code, ERROR_DENIED);
    }
    empty_folder();
    assert_true(file_write_atomic(path, SLICE_LITERAL(""), 0600, &err));
    assert_false(file_make_folder(path, 0700, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    empty_folder();
    char deep[200];
    snprintf(deep, sizeof deep, "%s/absent/deep", folder);
    assert_false(file_make_folder(deep, 0700, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void test_a_held_lock_is_refused_by_name_and_ends_with_its_process(void **state) {
    (void)state;
    error err;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        file_lock *lock = file_lock_take(path, &err);
        char result = lock != NULL ? 'y' : 'n';
        bool told = write(ready[1], &result, 1) == 1;
        while (told) {
            pause();
        }
        _exit(1);
    }
    char result = 0;
    assert_int_equal(read(ready[0], &result, 1), 1);
    assert_int_equal(result, 'y');
    assert_null(file_lock_take(path, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    char pid[32];
    snprintf(pid, sizeof pid, "pid %ld)", (long)child);
    assert_non_null(strstr(err.text, pid));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    file_lock *lock = file_lock_take(path, &err);
    assert_non_null(lock);
    assert_null(file_lock_take(path, &err));
    file_lock_release(lock);
    fault_fail_nth(0);
    lock = file_lock_take(path, &err);
    assert_int_equal(fault_stop(), lock == NULL);
    file_lock_release(lock);
    close(ready[0]);
    close(ready[1]);
    empty_folder();
}

static void test_a_mapping_shows_the_file(void **state) {
    (void)state;
    error err;
    slice bytes;
    assert_true(file_write_atomic(path, SLICE_LITERAL("mapped"), 0600, &err));
    assert_true(file_map(path, &bytes, &err));
    assert_true(slice_equal_text(bytes, "mapped"));
    file_drop(bytes);
    assert_true(slice_equal_text(bytes, "mapped"));
    file_unmap(bytes);
    assert_true(file_write_atomic(path, SLICE_LITERAL(""), 0600, &err));
    assert_true(file_map(path, &bytes, &err));
    assert_int_equal(bytes.length, 0);
    file_unmap(bytes);
    empty_folder();
}

/* The pages that this process has, as the kernel counts them. */
static size_t count_resident(void) {
    unsigned long size = 0;
    unsigned long resident = 0;
    FILE *status = fopen("/proc/self/statm", "r");
    assert_non_null(status);
    assert_int_equal(fscanf(status, "%lu %lu", &size, &resident), 2);
    fclose(status);
    return resident;
}

static void test_a_dropped_part_no_longer_counts_and_is_read_again(void **state) {
    (void)state;
    enum { PAGES = 4096, PAGE = 4096 };
    error err;
    slice bytes;
    uint8_t *content = malloc((size_t)PAGES * PAGE);
    assert_non_null(content);
    memset(content, 7, (size_t)PAGES * PAGE);
    assert_true(file_write_atomic(path, slice_of(content, (size_t)PAGES * PAGE), 0600, &err));
    free(content);
    assert_true(file_map(path, &bytes, &err));
    size_t sum = 0;
    for (size_t i = 0; i < bytes.length; i += PAGE) {
        sum += bytes.data[i];
    }
    size_t before = count_resident();
    file_drop(slice_after(bytes, 1));
    assert_true(count_resident() + PAGES / 2 < before);
    for (size_t i = 0; i < bytes.length; i += PAGE) {
        sum -= bytes.data[i];
    }
    assert_int_equal(sum, 0);
    file_drop((slice){NULL, 0});
    file_unmap(bytes);
    empty_folder();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dropped_part_no_longer_counts_and_is_read_again),
        cmocka_unit_test(test_what_is_written_is_read_back_with_its_mode),
        cmocka_unit_test(test_a_relative_path_is_written_in_the_current_folder),
        cmocka_unit_test(test_a_write_failing_at_any_step_leaves_old_or_new_and_nothing_beside),
        cmocka_unit_test(test_a_failed_allocation_leaves_the_file_and_the_buffer_as_they_were),
        cmocka_unit_test(test_a_file_larger_than_the_buffer_may_hold_is_refused_and_one_as_large_is_not),
        cmocka_unit_test(test_what_is_not_a_regular_file_is_refused),
        cmocka_unit_test(test_a_secret_that_others_may_read_is_refused),
        cmocka_unit_test(test_a_folder_is_made_once_with_its_mode),
        cmocka_unit_test(test_a_held_lock_is_refused_by_name_and_ends_with_its_process),
        cmocka_unit_test(test_a_mapping_shows_the_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
