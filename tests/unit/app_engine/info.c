#include "app_engine/engine_main.h"

#include "unit.h"

#include "base/memory.h"
#include "codec/json.h"
#include "model_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The real process, on files in a folder of its own. */
enum { OUTPUT_MAX = 1 << 20, PATH_SIZE = 128 };
static char folder[] = "/tmp/cellule-info-test-XXXXXX";
static gguf_writer writer;

typedef struct outcome {
    int status;
    char output[OUTPUT_MAX]; /* of both streams */
} outcome;
static outcome got;

static const char *path_of(const char *name) {
    static char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void read_all(int descriptor) {
    size_t length = 0;
    ssize_t count = 0;
    while ((count = read(descriptor, got.output + length, OUTPUT_MAX - 1 - length)) > 0) {
        length += (size_t)count;
    }
    got.output[length] = 0;
}

static int failing_allocation = -1; /* of the process to run */

static void run_info(const char *name, const char *option) {
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *arguments[] = {"engine", "info", path_of(name), option, NULL};
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        close(out[0]);
        if (failing_allocation >= 0) {
            fault_fail_nth(failing_allocation);
        }
        _exit(engine_main(option == NULL ? 3 : 4, (char **)(uintptr_t)arguments));
    }
    close(out[1]);
    read_all(out[0]);
    close(out[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    got.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(int status, const char *says) {
    if (got.status != status || strstr(got.output, says) == NULL) {
        fail_msg("status %d, '%s' is not in: %s", got.status, says, got.output);
    }
}

static void save(const char *name, const buffer *file) {
    FILE *out = fopen(path_of(name), "wb");
    slice bytes = buffer_slice(file);
    assert_non_null(out);
    assert_int_equal(fwrite(bytes.data, 1, bytes.length, out), bytes.length);
    assert_int_equal(fclose(out), 0);
}

static void save_model(const char *name) {
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    save(name, &file.bytes);
    model_file_free(&file);
}

static void save_written(const char *name) {
    buffer file;
    writer_finish(&writer, &file);
    save(name, &file);
    buffer_free(&file);
}

static void test_a_model_is_described(void **state) {
    (void)state;
    save_model("whole.gguf");
    run_info("whole.gguf", NULL);
    expect(0, "in 1 file, GGUF version 3\n");
    expect(0, "name          \"random test model\"\n");
    expect(0, "architecture  \"llama\"\n");
    expect(0, "context       256\n");
    expect(0, "layers        2\n");
    expect(0, "tensors       20, ");
    expect(0, "  F32         5, 1.3 kB\n");
    expect(0, "  Q8_0        15, ");
    expect(0, "tokenizer     \"gpt2\"\n");
    expect(0, "vocabulary    272\n");
    expect(0, "chat template none\n");
    expect(0, "runs here     family and tokenizer are known");
    expect(0, "  llama.rope.freq_base = 10000\n");
    expect(0, "  tokenizer.ggml.merges = 5 string: \"h e\", ");
}

static void test_the_description_is_also_json(void **state) {
    (void)state;
    error err;
    uint64_t number = 0;
    slice text;
    bool known = false;
    save_model("whole.gguf");
    run_info("whole.gguf", "--json");
    assert_int_equal(got.status, 0);
    json_limits limits = {.size = OUTPUT_MAX, .depth = 8};
    json_value *root = json_parse(slice_of_text(got.output), limits, &err);
    assert_non_null(root);
    assert_true(json_get_u64(root, "layers", 2, 2, &number, &err));
    assert_true(json_get_u64(root, "vocabulary", 272, 272, &number, &err));
    assert_true(json_get_text(root, "architecture", &text, &err) && slice_equal_text(text, "llama"));
    assert_true(json_get_bool(root, "known", &known, &err) && known);
    const json_value *type = json_find(json_find(root, "types"), "Q8_0");
    assert_true(json_get_u64(type, "tensors", 15, 15, &number, &err));
    const json_value *keys = json_find(root, "keys");
    assert_int_equal(json_count(keys), 17);
    const json_value *first = json_at(keys, 0);
    assert_true(json_get_text(first, "key", &text, &err) && slice_equal_text(text, "general.architecture"));
    assert_true(json_get_text(first, "value", &text, &err) && slice_equal_text(text, "llama"));
    json_free(root);
}

static void save_part(const char *name, uint16_t number, uint16_t count) {
    char tensor[] = {(char)('a' + number), 0};
    float values[32] = {1};
    writer_start(&writer);
    writer_split(&writer, number, count, count);
    writer_text(&writer, "general.architecture", "mamba");
    writer_tensor(&writer, tensor, number == 0 ? GGUF_F16 : GGUF_Q4_0, 32, 1, values);
    save_written(name);
}

static void test_the_parts_of_a_split_model_are_found_beside_the_first(void **state) {
    (void)state;
    save_part("m-00001-of-00003.gguf", 0, 3);
    save_part("m-00002-of-00003.gguf", 1, 3);
    run_info("m-00001-of-00003.gguf", NULL);
    expect(1, "m-00003-of-00003.gguf");
    save_part("m-00003-of-00003.gguf", 2, 3);
    run_info("m-00001-of-00003.gguf", NULL);
    expect(0, "in 3 files, GGUF version 3\n");
    expect(0, "  F16         1, 64 bytes\n  Q4_0        2, 36 bytes\n");
    expect(0, "runs here     no: the architecture 'mamba' isn't one that this engine computes\n");
    run_info("m-00002-of-00003.gguf", NULL);
    expect(1, "is part 2 of 3: name the first part");
    save_part("m-00003-of-00003.gguf", 1, 3);
    run_info("m-00001-of-00003.gguf", NULL);
    expect(1, "m-00001-of-00003.gguf: part 3 of 3: key 'split.no'");
}

static void test_a_name_that_only_looks_like_a_part_is_one_file(void **state) {
    (void)state;
    static const char *const names[] = {"00001-of-00003.gguf", "m-00001-of-0000x.gguf",
                                        "m-00001_of-00003.gguf", "m-0001-of-00003.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        save_model(names[i]);
        run_info(names[i], NULL);
        expect(0, "in 1 file");
    }
    run_info("m-00001-of-99999.gguf", NULL);
    expect(1, "at most 256");
    run_info("m-00001-of-00000.gguf", NULL);
    expect(1, "part 1 of 0");
}

static void test_nothing_in_a_file_can_move_the_cursor_or_begin_a_line(void **state) {
    (void)state;
    static const char hostile[] = "\x1b[2J\nruns here     yes\r\x7f\xc2\x9b\xff\"\\";
    const char *const texts[] = {hostile};
    writer_start(&writer);
    writer_text(&writer, "general.name", hostile);
    writer_text(&writer, "general.architecture", hostile);
    writer_u32(&writer, "\x1b[2J\xc2\x9b", 1);
    writer_texts(&writer, "texts", texts, 1);
    save_written("hostile.gguf");
    for (int json = 0; json < 2; json++) {
        run_info("hostile.gguf", json == 1 ? "--json" : NULL);
        assert_int_equal(got.status, 0);
        assert_null(strpbrk(got.output, "\x1b\r\x7f\xff"));
        assert_null(strstr(got.output, "\xc2\x9b"));
        assert_null(strstr(got.output, "\nruns here     yes"));
    }
}

static void test_long_strings_are_cut_between_characters(void **state) {
    (void)state;
    char text[200] = "";
    for (size_t i = 0; i < 50; i++) {
        strcat(text, "\xe2\x82\xac");
    }
    writer_start(&writer);
    writer_text(&writer, "euros", text);
    save_written("long.gguf");
    run_info("long.gguf", NULL);
    text[63] = 0;
    strcat(text, "\"... (150 bytes)\n");
    expect(0, text);
}

static void test_what_is_no_model_is_an_error(void **state) {
    (void)state;
    writer_start(&writer);
    save_written("empty.gguf");
    run_info("empty.gguf", NULL);
    expect(0, "runs here     no: the model has no key 'general.architecture'");
    run_info("absent.gguf", NULL);
    expect(1, "absent.gguf");
    assert_int_equal(truncate(path_of("empty.gguf"), 5), 0);
    run_info("empty.gguf", NULL);
    expect(1, "empty.gguf: the GGUF file ends within the header");
}

static void test_every_failed_allocation_is_an_error(void **state) {
    (void)state;
    save_part("m-00001-of-00001.gguf", 0, 1);
    save_model("whole.gguf");
    static const char *const names[] = {"m-00001-of-00001.gguf", "whole.gguf"};
    for (size_t i = 0; i < 2; i++) {
        got.status = 1;
        for (failing_allocation = 0; got.status != 0; failing_allocation++) {
            run_info(names[i], "--json");
            if (got.status != 0) {
                expect(1, "out of memory");
            }
        }
    }
    failing_allocation = -1;
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state) {
    (void)state;
    DIR *listed = opendir(folder);
    const struct dirent *entry = NULL;
    while (listed != NULL && (entry = readdir(listed)) != NULL) {
        unlinkat(dirfd(listed), entry->d_name, 0); /* fails for the folder itself and the one above */
    }
    return listed == NULL || closedir(listed) != 0 ? -1 : rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_model_is_described),
        cmocka_unit_test(test_the_description_is_also_json),
        cmocka_unit_test(test_the_parts_of_a_split_model_are_found_beside_the_first),
        cmocka_unit_test(test_a_name_that_only_looks_like_a_part_is_one_file),
        cmocka_unit_test(test_nothing_in_a_file_can_move_the_cursor_or_begin_a_line),
        cmocka_unit_test(test_long_strings_are_cut_between_characters),
        cmocka_unit_test(test_what_is_no_model_is_an_error),
        cmocka_unit_test(test_every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
