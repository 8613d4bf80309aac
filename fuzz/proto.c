#include "../src/domain/proto/schema_internal.h"
#include "codec/json.h"
#include "proto/certificate.h"
#include "proto/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Properties: what decodes encodes; that decodes again and encodes to the same bytes; what the short way
 * takes comes out of the general decoder the same. */
static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

static void compare_ways(slice text, arena *a, const proto_message *message) {
    proto_message general;
    error err;
    buffer first = buffer_make(16 << 20);
    buffer second = buffer_make(16 << 20);
    require(proto_general_decode(text, a, &general, &err));
    require(proto_encode(message, &first, &err) == proto_encode(&general, &second, &err));
    require(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    buffer_free(&first);
    buffer_free(&second);
}

static void check_certificate_request(slice text) {
    proto_certificate request;
    proto_certificate again;
    error err;
    buffer written = buffer_make(PROTO_CERTIFICATE_MAX);
    if (proto_certificate_decode(text, &request, &err)) {
        require(proto_certificate_encode(&request, &written, &err));
        require(proto_certificate_decode(buffer_slice(&written), &again, &err));
        require(memcmp(&request, &again, sizeof request) == 0);
    }
    buffer_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started) {
        json_start(1);
        started = true;
    }
    arena *a = arena_new(64 << 20);
    require(a != NULL);
    slice text = slice_of(data, size);
    check_certificate_request(text);
    proto_message message;
    proto_message again;
    error err;
    if (proto_canonical_decode(text, a, &message)) {
        compare_ways(text, a, &message);
    }
    if (proto_decode(text, a, &message, &err)) {
        buffer first = buffer_make(16 << 20);
        buffer second = buffer_make(16 << 20);
        if (proto_encode(&message, &first, &err)) {
            require(proto_decode(buffer_slice(&first), a, &again, &err));
            require(proto_encode(&again, &second, &err));
            require(slice_equal(buffer_slice(&first), buffer_slice(&second)));
        } else {
            require(err.code == ERROR_LIMIT); /* longer in the written form than as it came */
        }
        buffer_free(&first);
        buffer_free(&second);
    }
    arena_free(a);
    return 0;
}
