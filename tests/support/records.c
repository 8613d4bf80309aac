#include "crypto/hash.h"
#include "crypto/start.h"
#include "memory/record.h"

#include <stdio.h>
#include <stdlib.h>

/* What is kept of a user, for programs that aren't ours to compare with: records seal|open KEY KIND USER ID
 * UNIX_MS, key and id in hexadecimal, reads content or token and writes the other. */
enum { INPUT_MAX = 1 << 20 };

static bool read_all(buffer *input, error *err) {
    uint8_t *room = buffer_reserve(input, INPUT_MAX);
    if (room == NULL) {
        return error_memory(err);
    }
    buffer_commit(input, fread(room, 1, INPUT_MAX, stdin));
    return ferror(stdin) == 0 || error_set(err, ERROR_IO, "the standard input can't be read");
}

static bool run(char **words, error *err) {
    uint8_t key[RECORD_KEY_SIZE];
    record_place place = {.kind = (record_kind)strtoul(words[2], NULL, 10),
                          .user_id = strtoull(words[3], NULL, 10)};
    if (!hex_decode(slice_of_text(words[1]), key, sizeof key) ||
        !hex_decode(slice_of_text(words[4]), place.id, sizeof place.id)) {
        return error_set(err, ERROR_INVALID, "key and id are 64 and 32 hexadecimal digits");
    }
    buffer input = buffer_make(INPUT_MAX);
    buffer output = buffer_make(2 * INPUT_MAX);
    bool good = read_all(&input, err);
    if (good && strcmp(words[0], "seal") == 0) {
        good = record_seal(key, &place, strtoull(words[5], NULL, 10), buffer_slice(&input), &output, err);
    } else if (good) {
        good = record_open(key, &place, buffer_slice(&input), &output, err);
    }
    slice made = buffer_slice(&output);
    if (good && fwrite(made.data, 1, made.length, stdout) != made.length) {
        good = error_set(err, ERROR_IO, "the standard output can't be written");
    }
    buffer_free(&input);
    buffer_wipe(&output);
    return good;
}

int main(int argc, char **argv) {
    error err;
    if (argc != 7) {
        fprintf(stderr, "records seal|open KEY KIND USER ID UNIX_MS\n");
        return 2;
    }
    bool good = crypto_start(&err) && run(argv + 1, &err);
    if (!good) {
        fprintf(stderr, "%s: %s\n", error_code_name(err.code), err.text);
    }
    crypto_stop();
    return good ? 0 : 1;
}
