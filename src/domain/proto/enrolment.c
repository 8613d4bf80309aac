#include "proto/enrolment.h"

#include "codec/envelope.h"
#include "codec/json.h"
#include "codec/json_writer.h"

enum { ENROLMENT_DEPTH = 2 };

void proto_enrolment_bytes(const proto_enrolment *enrolment, buffer *out) {
    envelope_begin(out, "cellule enrolment v1");
    envelope_add(out, slice_of(enrolment->token_id, sizeof enrolment->token_id));
    envelope_add(out, slice_of(enrolment->token_secret, sizeof enrolment->token_secret));
    envelope_add(out, slice_of(enrolment->public_key, sizeof enrolment->public_key));
    envelope_add(out, enrolment->name);
    envelope_add(out, enrolment->class_name);
}

static bool read_fields(const json_value *root, arena *a, proto_enrolment *out, error *err) {
    slice name;
    slice class_name;
    if (!json_get_bytes(root, "token_id", out->token_id, sizeof out->token_id, err) ||
        !json_get_bytes(root, "token_secret", out->token_secret, sizeof out->token_secret, err) ||
        !json_get_bytes(root, "public_key", out->public_key, sizeof out->public_key, err) ||
        !json_get_bytes(root, "signature", out->signature, sizeof out->signature, err) ||
        !json_get_text(root, "name", &name, err) || !json_get_text(root, "class", &class_name, err)) {
        return false;
    }
    if (name.length == 0 || name.length > PROTO_MACHINE_NAME_MAX) {
        return error_set(err, ERROR_INVALID, "name: must be 1 to %d bytes", PROTO_MACHINE_NAME_MAX);
    }
    proto_class class_id;
    if (!proto_class_parse(class_name, &class_id)) {
        return error_set(err, ERROR_INVALID, "class: must be cpu, gpu or npu");
    }
    return (arena_copy(a, name, &out->name) && arena_copy(a, class_name, &out->class_name)) ||
           error_memory(err);
}

bool proto_enrolment_decode(slice json, arena *a, proto_enrolment *out, error *err) {
    *out = (proto_enrolment){0};
    json_value *root =
        json_parse(json, (json_limits){.size = PROTO_ENROLMENT_MAX, .depth = ENROLMENT_DEPTH}, err);
    bool read = root != NULL && read_fields(root, a, out, err);
    json_free(root);
    return read;
}

bool proto_enrolment_encode(const proto_enrolment *enrolment, buffer *out, error *err) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_bytes(&w, "token_id", slice_of(enrolment->token_id, sizeof enrolment->token_id));
    json_add_bytes(&w, "token_secret", slice_of(enrolment->token_secret, sizeof enrolment->token_secret));
    json_add_bytes(&w, "public_key", slice_of(enrolment->public_key, sizeof enrolment->public_key));
    json_add_bytes(&w, "signature", slice_of(enrolment->signature, sizeof enrolment->signature));
    json_add_text(&w, "name", enrolment->name);
    json_add_text(&w, "class", enrolment->class_name);
    json_write_object_end(&w);
    return !buffer_failed(out) || error_memory(err);
}
