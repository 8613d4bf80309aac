#include "crypto/key_file.h"

#include "crypto/seal.h"
#include "crypto/secret.h"
#include "crypto_internal.h"
#include "os/file.h"
#include "os/random.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A line that says what it is, how the key is derived, then the sealed content. The head is sealed with it.
 */
static const char magic[] = "cellule sealed key 1\n";

enum {
    SALT_SIZE = crypto_pwhash_SALTBYTES,
    COST_SIZE = 8, /* passes and KiB of memory, each of four bytes, the first the highest */
    HEAD_SIZE = sizeof magic - 1 + COST_SIZE + SALT_SIZE,
    PASSES = 3,
    MEMORY_KIB = 64 * 1024,
    PASSES_MAX = 16,
    MEMORY_KIB_MAX = 1024 * 1024,
    FILE_LIMIT = 128 * 1024,
    PATH_SIZE = 4096
};

#define CREDENTIAL "cellule.passphrase"

/* In secret memory. The key derived last is kept: a site's files mostly share their salt. */
typedef struct passphrase {
    size_t length;
    uint8_t text[KEY_FILE_PASSPHRASE_MAX];
    uint8_t key[SEAL_KEY_SIZE];
    uint8_t head[HEAD_SIZE]; /* that the key is for */
    bool derived;
} passphrase;

static struct {
    pthread_mutex_t lock;
    passphrase *known[KEY_FILE_PASSPHRASES];
    size_t count;
    bool plain;
    bool drawn;
    uint8_t head[HEAD_SIZE]; /* of what this process writes */
} files = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool key_file_use(slice text, error *err) {
    if (text.length < KEY_FILE_PASSPHRASE_MIN || text.length > KEY_FILE_PASSPHRASE_MAX) {
        return error_set(err, ERROR_INVALID, "a passphrase has %d to %d bytes", KEY_FILE_PASSPHRASE_MIN,
                         KEY_FILE_PASSPHRASE_MAX);
    }
    passphrase *new = secret_allocate(sizeof *new, err);
    if (new == NULL) {
        return false;
    }
    memcpy(new->text, text.data, text.length);
    new->length = text.length;
    pthread_mutex_lock(&files.lock);
    bool room = files.count < KEY_FILE_PASSPHRASES;
    if (room) {
        files.known[files.count++] = new;
        files.plain = false;
    }
    pthread_mutex_unlock(&files.lock);
    if (!room) {
        secret_free(new);
        return error_set(err, ERROR_LIMIT, "%d passphrases are in use", KEY_FILE_PASSPHRASES);
    }
    return true;
}

static slice without_newline(slice text) {
    return text.length > 0 && text.data[text.length - 1] == '\n' ? slice_part(text, 0, text.length - 1)
                                                                 : text;
}

static bool read_standard_input(buffer *text, error *err) {
    uint8_t bytes[KEY_FILE_PASSPHRASE_MAX + 2];
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < sizeof bytes) {
        got = read(STDIN_FILENO, bytes + length, sizeof bytes - length);
        length += got > 0 ? (size_t)got : 0;
        got = got < 0 && errno == EINTR ? 1 : got;
    }
    bool good = got >= 0 || error_set_errno(err, ERROR_IO, errno, "reading the passphrase");
    good = good && (buffer_append(text, slice_of(bytes, length)) || error_memory(err));
    secret_wipe(bytes, sizeof bytes);
    return good;
}

/* The credential's folder is the service's own, whatever the mode of the files says beside their ACL. */
static bool read_credential(buffer *text, bool *found, error *err) {
    char path[PATH_SIZE];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    *found = folder != NULL && snprintf(path, sizeof path, "%s/%s", folder, CREDENTIAL) < (int)sizeof path &&
             file_exists(path);
    return !*found || file_read_all(path, text, err);
}

bool key_file_use_from(const char *path, error *err) {
    buffer text = buffer_make(KEY_FILE_PASSPHRASE_MAX + 2);
    bool found = true;
    bool good = path == NULL             ? read_credential(&text, &found, err)
                : strcmp(path, "-") == 0 ? read_standard_input(&text, err)
                                         : file_read_private(path, &text, err);
    good = good && (!found || key_file_use(without_newline(buffer_slice(&text)), err));
    buffer_wipe(&text);
    return good || error_context(err, "the passphrase of the key files");
}

bool key_file_has_passphrase(void) {
    pthread_mutex_lock(&files.lock);
    bool has = files.count > 0;
    pthread_mutex_unlock(&files.lock);
    return has;
}

void key_file_write_plain(void) {
    pthread_mutex_lock(&files.lock);
    files.plain = true;
    pthread_mutex_unlock(&files.lock);
}

void key_file_forget(void) {
    pthread_mutex_lock(&files.lock);
    while (files.count > 0) {
        secret_free(files.known[--files.count]);
    }
    files.plain = false;
    files.drawn = false;
    pthread_mutex_unlock(&files.lock);
}

bool key_file_is_sealed(slice content) {
    return slice_starts_with(content, slice_of_text(magic));
}

static uint32_t read_u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_u32(uint8_t *bytes, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* The passphrase's key for a file with this head; the lock is held. */
static bool derive(passphrase *p, const uint8_t head[HEAD_SIZE], error *err) {
    const uint8_t *cost = head + sizeof magic - 1;
    uint32_t passes = read_u32(cost);
    uint32_t memory_kib = read_u32(cost + 4);
    if (p->derived && memcmp(p->head, head, HEAD_SIZE) == 0) {
        return true;
    }
    if (passes < crypto_pwhash_OPSLIMIT_MIN || passes > PASSES_MAX ||
        memory_kib < crypto_pwhash_MEMLIMIT_MIN / 1024 || memory_kib > MEMORY_KIB_MAX) {
        return error_set(err, ERROR_CORRUPT, "it is damaged; restore it from a backup");
    }
    p->derived = false;
    if (crypto_pwhash(p->key, sizeof p->key, (const char *)p->text, p->length, cost + COST_SIZE, passes,
                      (size_t)memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return error_memory(err);
    }
    memcpy(p->head, head, HEAD_SIZE);
    p->derived = true;
    return true;
}

static void write_head(uint8_t head[HEAD_SIZE]) {
    memcpy(head, magic, sizeof magic - 1);
    write_u32(head + sizeof magic - 1, PASSES);
    write_u32(head + sizeof magic - 1 + 4, MEMORY_KIB);
}

/* What was read is written with the same salt: its key is there, and deriving one takes long. */
static void adopt_head(const uint8_t head[HEAD_SIZE]) {
    uint8_t ours[HEAD_SIZE];
    write_head(ours);
    if (!files.drawn && memcmp(head, ours, HEAD_SIZE - SALT_SIZE) == 0) {
        memcpy(files.head, head, HEAD_SIZE);
        files.drawn = true;
    }
}

static bool open_sealed(slice sealed, buffer *content, error *err) {
    if (sealed.length < HEAD_SIZE + SEAL_OVERHEAD) {
        return error_set(err, ERROR_CORRUPT, "it is damaged; restore it from a backup");
    }
    for (size_t i = files.count; i > 0; i--) {
        passphrase *p = files.known[i - 1];
        if (!derive(p, sealed.data, err)) {
            return false;
        }
        if (seal_open(p->key, slice_part(sealed, 0, HEAD_SIZE), slice_after(sealed, HEAD_SIZE), content,
                      err)) {
            adopt_head(sealed.data);
            return true;
        }
        if (err->code != ERROR_CORRUPT) {
            return false;
        }
    }
    return error_set(err, ERROR_DENIED,
                     files.count == 0
                         ? "it is sealed: give the passphrase with --passphrase-file FILE, or as the systemd "
                           "credential " CREDENTIAL
                         : "the passphrase isn't the one that it is sealed with, or it is damaged");
}

bool key_file_read(const char *path, buffer *content, error *err) {
    buffer bytes = buffer_make(FILE_LIMIT);
    bool good = file_read_private(path, &bytes, err);
    slice read = buffer_slice(&bytes);
    if (good && key_file_is_sealed(read)) {
        pthread_mutex_lock(&files.lock);
        size_t around = HEAD_SIZE + SEAL_OVERHEAD;
        good = (read.length < around || buffer_reserve(content, read.length - around) != NULL ||
                error_memory(err)) &&
               open_sealed(read, content, err);
        pthread_mutex_unlock(&files.lock);
        good = good || error_context(err, "%s", path);
    } else if (good && read.length > content->limit - buffer_length(content)) {
        good = error_set(err, ERROR_LIMIT, "%s is larger than the %zu bytes allowed", path, content->limit);
    } else if (good) {
        good = buffer_append(content, read) || error_memory(err);
    }
    buffer_wipe(&bytes);
    return good;
}

/* One salt for all that a process writes: each file has its own nonce. The lock is held. */
static bool draw_head(error *err) {
    if (!files.drawn) {
        write_head(files.head);
        files.drawn = random_bytes(files.head + HEAD_SIZE - SALT_SIZE, SALT_SIZE, err);
    }
    return files.drawn;
}

bool key_file_write(const char *path, slice content, error *err) {
    buffer sealed = buffer_make(FILE_LIMIT);
    pthread_mutex_lock(&files.lock);
    bool seals = files.count > 0 && !files.plain;
    passphrase *p = seals ? files.known[files.count - 1] : NULL;
    bool good = !seals || (draw_head(err) && derive(p, files.head, err) &&
                           (buffer_append(&sealed, slice_of(files.head, HEAD_SIZE)) || error_memory(err)) &&
                           seal(p->key, slice_of(files.head, HEAD_SIZE), content, &sealed, err));
    pthread_mutex_unlock(&files.lock);
    good = good && file_write_atomic(path, seals ? buffer_slice(&sealed) : content, 0600, err);
    buffer_free(&sealed);
    return good;
}
