/* A database that is brought up to date, or copied into another, when the process is killed or the disk full
 * at each step of writing: it is of one version or the other, the copy is whole or empty, and doing it again
 * succeeds. */
#include "interrupted.h"

#include "../../../src/io/store/migrations.h"
#include "store/copy.h"

enum { VERSIONS_MAX = 64, SCHEMA_SIZE = 32768 };

static char schemas[VERSIONS_MAX][SCHEMA_SIZE]; /* by version */

static int add_text(void *context, int columns, char **values, char **names) {
    (void)columns;
    (void)names;
    char *text = context;
    strncat(text, values[0] == NULL ? "" : values[0], SCHEMA_SIZE - 1 - strlen(text));
    return 0;
}

static void read_schema(char text[SCHEMA_SIZE]) {
    sqlite3 *reader = NULL;
    text[0] = '\0';
    assert_int_equal(sqlite3_open(here.path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader,
                                  "SELECT type || ' ' || name || ' ' || ifnull(sql, '') || char(10) "
                                  "FROM sqlite_schema ORDER BY type, name",
                                  add_text, text, NULL),
                     SQLITE_OK);
    sqlite3_close(reader);
}

static uint64_t newest(void) {
    return store_migrations[store_migration_count - 1].version;
}

static void read_schemas(void) {
    here = place_make();
    assert_in_range(newest(), 11, VERSIONS_MAX - 1);
    for (size_t i = 0; i < store_migration_count; i++) {
        database *d = database_open(here.path, 0, &err);
        assert_non_null(d);
        assert_true(database_prepare(d, 0, &err) && migrations_apply(d, store_migrations, i + 1, &err));
        database_close(d);
        read_schema(schemas[store_migrations[i].version]);
    }
    place_remove(&here);
    disk_install();
}

static void take_released(const char *name, image *released) {
    char path[4096];
    struct stat status;
    const char *root = getenv("CELLULE_SOURCE");
    assert_non_null(root);
    snprintf(path, sizeof path, "%s/tests/vectors/store/%s", root, name);
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &status), 0);
    *released = (image){.bytes = malloc((size_t)status.st_size), .length = (size_t)status.st_size};
    assert_non_null(released->bytes);
    assert_int_equal(read(file, released->bytes, released->length), released->length);
    close(file);
}

static void check_content(bool released) {
    assert_int_equal(count_rows(&here, "keys"), released ? 3 : 0);
    assert_int_equal(count_rows(&here, "receipts"), released ? 3 : 0);
    assert_int_equal(count_rows(&here, "sessions"), released ? 1 : 0);
    assert_int_equal(count_rows(&here, "inference_payloads"), released ? 1 : 0);
    check_files();
}

static void check_migrated(bool released) {
    char schema[SCHEMA_SIZE];
    outside o = outside_open(&here);
    uint64_t version = outside_ask(&o, "PRAGMA user_version");
    outside_close(&o);
    assert_in_range(version, released ? 8 : 0, newest());
    read_schema(schema);
    assert_string_equal(schema, schemas[version]);
    site = open_at(&here, NULL);
    read_schema(schema);
    assert_string_equal(schema, schemas[newest()]);
    check_content(released);
    store_close(site);
}

static void interrupt_migrations(const char *name, unsigned stride) {
    const work w = {.name = "migration", .whole = true};
    image images[2] = {{NULL, 0}, {NULL, 0}};
    progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    read_schemas();
    here = place_make();
    if (name != NULL) {
        take_released(name, &images[0]);
    }
    for (disk_fault fault = 0; fault < DISK_FAULTS; fault++) {
        unsigned nth = 0;
        restore(images);
        while (interrupt(&w, fault, nth, p)) {
            assert_int_equal(p->wrong, ERROR_NONE);
            check_migrated(name != NULL);
            nth += nth < EACH_OF_THE_FIRST ? 1 : stride;
            restore(images);
        }
        assert_int_equal(p->wrong, ERROR_NONE);
        assert_true(nth > EACH_OF_THE_FIRST);
        check_migrated(name != NULL);
    }
    munmap(p, sizeof *p);
    free(images[0].bytes);
    place_remove(&here);
}

static void test_a_database_of_schema_8_is_of_one_version_or_another_and_then_of_the_newest(void **state) {
    (void)state;
    interrupt_migrations("schema_0008.db", 5);
}

static void test_a_new_database_is_of_one_version_or_another_and_then_of_the_newest(void **state) {
    (void)state;
    interrupt_migrations(NULL, 97);
}

/* -- copied into another file -- */

static void ignore_progress(void *context, const store_copy_progress *now) {
    (void)context;
    (void)now;
}

static error_code copy_to(const place *target) {
    uint64_t rows = 0;
    return store_copy(here.path, target->path, ignore_progress, NULL, &rows, &err) ? ERROR_NONE : err.code;
}

static bool interrupt_copy(const place *target, disk_fault fault, unsigned nth) {
    if (!disk_kills(fault)) {
        disk_arm(fault, nth);
        error_code code = copy_to(target);
        disk_disarm();
        assert_true(code == ERROR_NONE || (code == ERROR_IO && disk.reached));
        return disk.reached;
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        disk_arm(fault, nth);
        _exit(copy_to(target) == ERROR_NONE ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : status == 0);
    return WIFSIGNALED(status);
}

static uint64_t digest_at(const place *p) {
    place source = here;
    here = *p;
    uint64_t sum = digest_kept();
    check_files();
    here = source;
    return sum;
}

static void empty(const place *target) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s%s", target->path, suffixes[i]);
        unlink(path);
    }
}

/* It says that there is something only where all is there. */
static void check_copied(const place *target, uint64_t digest) {
    error_code code = copy_to(target);
    assert_true(code == ERROR_NONE || code == ERROR_CONFLICT);
    assert_true(digest_at(target) == digest);
    assert_true(digest_at(&here) == digest);
    assert_int_equal(copy_to(target), ERROR_CONFLICT);
    assert_non_null(strstr(err.text, "isn't empty"));
}

static void test_a_copy_is_whole_or_empty_and_made_again(void **state) {
    (void)state;
    place target = place_make();
    fill_kept();
    store_close(site);
    disk_install();
    uint64_t digest = digest_at(&here);
    for (disk_fault fault = 0; fault < DISK_FAULTS; fault++) {
        unsigned nth = 0;
        empty(&target);
        while (interrupt_copy(&target, fault, nth)) {
            check_copied(&target, digest);
            nth += nth < EACH_OF_THE_FIRST ? 1 : 61;
            empty(&target);
        }
        assert_true(nth > EACH_OF_THE_FIRST);
        check_copied(&target, digest);
    }
    place_remove(&here);
    place_remove(&target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_is_whole_or_empty_and_made_again),
        cmocka_unit_test(test_a_new_database_is_of_one_version_or_another_and_then_of_the_newest),
        cmocka_unit_test(test_a_database_of_schema_8_is_of_one_version_or_another_and_then_of_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
