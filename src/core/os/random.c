#include "os/random.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

bool random_bytes(void *bytes, size_t length, error *err) {
    uint8_t *place = bytes;
    size_t done = 0;
    while (done < length) {
        ssize_t got = getrandom(place + done, length - done, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            memset(bytes, 0, length);
            return error_set_errno(err, ERROR_IO, errno, "asking the system for random bytes");
        }
        done += (size_t)got;
    }
    return true;
}
