#ifndef VERIFY_HONEYTOKEN_H
#define VERIFY_HONEYTOKEN_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>

/* A prompt that the pool itself sends to a worker, with a marker that nobody else has ever seen: where it
 * turns up, that worker's prompts are read. The marker looks like any random UUID (RFC 9562 §5.4), since a
 * worker could leave out of its log what has a shape of its own. */
enum { HONEYTOKEN_LENGTH = 36, HONEYTOKEN_WORKER_SIZE = 16, HONEYTOKEN_SECRET_SIZE = 32 };

/* Of the worker's `number`th one: 122 bits of HMAC-SHA-256(secret, envelope("cellule honeytoken v1", worker,
 * number)). Lower case, closing zero. */
MUST_CHECK bool honeytoken_make(const uint8_t secret[HONEYTOKEN_SECRET_SIZE],
                                const uint8_t worker[HONEYTOKEN_WORKER_SIZE], uint64_t number,
                                char marker[HONEYTOKEN_LENGTH + 1], error *err);

/* The next thing in `text` at or behind `*position` that may be a marker, in lower case with its hyphens;
 * `*position` moves behind its first digit, since another may overlap it. False at the end. Found in either
 * case, without hyphens, with spaces, line ends, quotes or marks between the digits (up to 8 bytes at a
 * place), in any bytes. It may be any UUID of version 4: the caller looks it up. */
bool honeytoken_find(slice text, size_t *position, char marker[HONEYTOKEN_LENGTH + 1]);

/* All that may be a marker in a text of unknown origin, as it is and as what it may be in another coding:
 * escapes of URLs, JSON and HTML, base64, hexadecimal digits (UTF-16 and UTF-32 are no obstacle to
 * honeytoken_find). One may come several times. `seen` returns false to end the search. A marker takes at
 * most HONEYTOKEN_SPAN bytes of a text: one that is read in pieces that overlap so far is searched whole.
 * ERROR_MEMORY: about twice the text's length. */
enum { HONEYTOKEN_SPAN = 4096 };
typedef bool honeytoken_seen(void *context, const char marker[HONEYTOKEN_LENGTH + 1]);
MUST_CHECK bool honeytoken_search(slice text, honeytoken_seen *seen, void *context, error *err);

/* Appends a prompt: `pattern` with the marker for each {id}. ERROR_INVALID: there is no {id} in it;
 * ERROR_LIMIT: too long for `out`. On failure `out` holds what it held. */
MUST_CHECK bool honeytoken_write(slice pattern, const char *marker, buffer *out, error *err);
/* Patterns that come with the program, as employees ask; any number is right. Who reads the source knows
 * them: a site that has its own is better off. */
slice honeytoken_pattern(uint64_t number);

#endif
