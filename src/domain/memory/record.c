#include "memory/record.h"

#include "crypto/fernet.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

enum { VERSION = 1, USER_AT = 2, ID_AT = 10, LENGTH_AT = 26, DAY_MS = 86400000, DAY_S = 86400 };

_Static_assert(ID_AT + RECORD_ID_SIZE == LENGTH_AT && LENGTH_AT + 4 == RECORD_HEADER_SIZE,
               "as record.h has it");
_Static_assert((int)RECORD_KEY_SIZE == (int)FERNET_KEY_SIZE, "records are Fernet tokens");

static size_t floor_log2(size_t value) {
    return sizeof(unsigned long long) * 8 - 1 - (size_t)__builtin_clzll(value);
}

/* Keeps as many of the highest bits as the length's exponent takes to write down. */
size_t record_padded_length(size_t length) {
    if (length < 2) {
        return length;
    }
    size_t exponent = floor_log2(length);
    size_t kept = floor_log2(exponent) + 1;
    size_t mask = kept < exponent ? ((size_t)1 << (exponent - kept)) - 1 : 0;
    return length > SIZE_MAX - mask ? SIZE_MAX : (length + mask) & ~mask;
}

size_t record_sealed_size(size_t content) {
    return content > RECORD_CONTENT_MAX
               ? SIZE_MAX
               : fernet_sealed_size(record_padded_length(RECORD_HEADER_SIZE + content));
}

static void put_big_endian(uint8_t *to, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
}

static void write_header(const record_place *place, size_t length, uint8_t header[RECORD_HEADER_SIZE]) {
    header[0] = VERSION;
    header[1] = (uint8_t)place->kind;
    put_big_endian(header + USER_AT, place->user_id, 8);
    memcpy(header + ID_AT, place->id, RECORD_ID_SIZE);
    put_big_endian(header + LENGTH_AT, length, 4);
}

/* What is to be encrypted is put where the token will be. */
bool record_seal(const uint8_t key[RECORD_KEY_SIZE], const record_place *place, uint64_t unix_ms,
                 slice content, buffer *sealed, error *err) {
    size_t size = record_sealed_size(content.length);
    size_t used = buffer_length(sealed);
    if (used > sealed->limit || size > sealed->limit - used) {
        return error_set(err, ERROR_LIMIT,
                         "a record of %zu bytes is longer than may be kept here: shorten it", content.length);
    }
    uint8_t *room = buffer_reserve(sealed, size);
    if (room == NULL) {
        return error_memory(err);
    }
    uint8_t *text = room + FERNET_TEXT_AT;
    size_t unpadded = RECORD_HEADER_SIZE + content.length;
    size_t length = record_padded_length(unpadded);
    write_header(place, content.length, text);
    if (content.length > 0) {
        memcpy(text + RECORD_HEADER_SIZE, content.data, content.length);
    }
    memset(text + unpadded, 0, length - unpadded);
    bool good = fernet_seal(key, unix_ms / DAY_MS * DAY_S, slice_of(text, length), sealed, err);
    if (!good) {
        secret_wipe(text, length);
    }
    return good;
}

static bool all_zeros(slice bytes) {
    uint8_t any = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        any |= bytes.data[i];
    }
    return any == 0;
}

/* The content's length, if `text` is what is sealed for the place. */
static bool check(slice text, const record_place *place, size_t *length) {
    uint8_t header[RECORD_HEADER_SIZE];
    if (text.length < RECORD_HEADER_SIZE) {
        return false;
    }
    *length = 0;
    for (size_t i = LENGTH_AT; i < RECORD_HEADER_SIZE; i++) {
        *length = *length << 8 | text.data[i];
    }
    write_header(place, *length, header);
    return memcmp(text.data, header, sizeof header) == 0 && *length <= RECORD_CONTENT_MAX &&
           record_padded_length(RECORD_HEADER_SIZE + *length) == text.length &&
           all_zeros(slice_after(text, RECORD_HEADER_SIZE + *length));
}

static bool refuse(error *err) {
    return error_set(
        err, ERROR_CORRUPT,
        "this doesn't open: the key is another, it belongs elsewhere, or it was changed; delete it, or "
        "have it restored from a backup");
}

/* Leaves the content alone of what was opened behind the first `before` bytes. */
static void keep_content(buffer *content, size_t before, size_t length) {
    buffer_truncate(content, before + RECORD_HEADER_SIZE + length);
    if (before == 0) {
        buffer_consume(content, RECORD_HEADER_SIZE);
        return;
    }
    uint8_t *at = content->bytes + content->start + before;
    memmove(at, at + RECORD_HEADER_SIZE, length);
    buffer_truncate(content, before + length);
}

bool record_open(const uint8_t key[RECORD_KEY_SIZE], const record_place *place, slice sealed, buffer *content,
                 error *err) {
    size_t before = buffer_length(content);
    size_t limit = content->limit;
    if (sealed.length > record_sealed_size(RECORD_CONTENT_MAX)) {
        return refuse(err);
    }
    /* For a moment there are header and zeros, too, which the limit doesn't count. */
    content->limit = limit > SIZE_MAX - sealed.length ? SIZE_MAX : limit + sealed.length;
    bool good = fernet_open(key, sealed, NULL, content, err);
    content->limit = limit;
    if (!good) {
        return err->code == ERROR_CORRUPT ? refuse(err) : false;
    }
    slice text = slice_after(buffer_slice(content), before);
    size_t length = 0;
    good = check(text, place, &length) || refuse(err);
    if (good && (before > limit || length > limit - before)) {
        good = error_set(err, ERROR_LIMIT, "a record of %zu bytes is longer than is allowed here", length);
    }
    if (!good) {
        secret_wipe(content->bytes + content->start + before, text.length);
        buffer_truncate(content, before);
        return false;
    }
    keep_content(content, before, length);
    return true;
}

bool record_name(error *err, const char *what, const uint8_t id[RECORD_ID_SIZE]) {
    char hex[2 * RECORD_ID_SIZE + 1];
    hex_encode(slice_of(id, RECORD_ID_SIZE), hex);
    return error_context(err, "%s %s", what, hex);
}
