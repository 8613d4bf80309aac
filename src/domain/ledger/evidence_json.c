#include "codec/json.h"
#include "codec/json_writer.h"
#include "coder_internal.h"
#include "copies_internal.h"
#include "evidence_internal.h"
#include "finding_internal.h"
#include "ledger/evidence.h"
#include "receipt_internal.h"

static const char object_name[] = "cellule.evidence";
static const json_limits limits = {.size = EVIDENCE_JSON_LIMIT, .depth = 6, .values = 1024};

static bool write_receipt(json_writer *w, const signed_receipt *s, error *err) {
    signed_receipt bare = *s;
    buffer text = buffer_make(RECEIPT_JSON_LIMIT);
    memset(bare.salt, 0, sizeof bare.salt);
    bool good = receipt_write_json(&bare, &text, err);
    if (good) {
        json_write_raw(w, buffer_slice(&text));
    }
    buffer_free(&text);
    return good;
}

static bool write_answers(json_writer *w, const evidence *e, error *err) {
    bool good = true;
    json_write_key(w, "answers");
    json_write_array_begin(w);
    for (size_t i = 0; good && i < e->answer_count; i++) {
        good = write_receipt(w, &e->answers[i], err);
    }
    json_write_array_end(w);
    return good;
}

static bool write_findings(json_writer *w, const evidence *e, error *err) {
    bool good = true;
    json_write_key(w, "findings");
    json_write_array_begin(w);
    for (size_t i = 0; good && i < e->finding_count; i++) {
        buffer text = buffer_make(FINDING_JSON_LIMIT);
        good = finding_write_json(&e->findings[i], &text, err);
        if (good) {
            json_write_raw(w, buffer_slice(&text));
        }
        buffer_free(&text);
    }
    json_write_array_end(w);
    return good;
}

bool evidence_write_json(const evidence *e, buffer *out, error *err) {
    if (e->answer_count > EVIDENCE_ANSWERS_MAX || e->finding_count > EVIDENCE_FINDINGS_MAX) {
        return error_set(err, ERROR_INTERNAL, "this evidence has too many statements");
    }
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "object", slice_of_text(object_name));
    json_add_u64(&w, "version", e->version);
    copies_add_hex(&w, "pool", e->pool_id, sizeof e->pool_id);
    copies_add_hex(&w, "convicted", e->convicted, sizeof e->convicted);
    json_add_u64(&w, "made_ms", e->made_ms);
    if (e->reason[0] != '\0') {
        json_add_text(&w, "reason", slice_of_text(e->reason));
    }
    json_write_key(&w, "receipt");
    if (!write_receipt(&w, &e->receipt, err) || !write_answers(&w, e, err) || !write_findings(&w, e, err)) {
        return false;
    }
    json_add_bytes(&w, "pool_key", slice_of(e->pool_key, sizeof e->pool_key));
    json_add_bytes(&w, "pool_signature", slice_of(e->pool_signature, sizeof e->pool_signature));
    json_write_object_end(&w);
    return !buffer_failed(out) || error_memory(err);
}

static bool read_receipt(const json_value *value, signed_receipt *s, error *err) {
    static const uint8_t none[RECEIPT_SALT_SIZE];
    return receipt_read_value(value, s, err) &&
           (memcmp(s->salt, none, sizeof none) == 0 ||
            error_set(err, ERROR_INVALID,
                      "a salt stands in it, with which the prompt could be guessed; it must be zeros"));
}

static bool read_hex(const json_value *root, const char *name, uint8_t *bytes, size_t length, error *err) {
    slice text;
    return json_get_text(root, name, &text, err) &&
           (hex_decode(text, bytes, length) ||
            error_set(err, ERROR_INVALID, "\"%s\" must be %zu hexadecimal digits", name, 2 * length));
}

static bool read_count(const json_value *list, const char *name, size_t most, size_t *count, error *err) {
    *count = json_count(list);
    return *count <= most || error_set(err, ERROR_LIMIT, "\"%s\" may have at most %zu elements", name, most);
}

static bool read_answers(const json_value *root, evidence *e, error *err) {
    const json_value *list = NULL;
    bool good = json_get_array(root, "answers", &list, err) &&
                read_count(list, "answers", EVIDENCE_ANSWERS_MAX, &e->answer_count, err);
    for (size_t i = 0; good && i < e->answer_count; i++) {
        good = read_receipt(json_at(list, i), &e->answers[i], err) ||
               error_context(err, "answer %zu of the evidence", i + 1);
    }
    return good;
}

static bool read_findings(const json_value *root, evidence *e, error *err) {
    const json_value *list = NULL;
    bool good = json_get_array(root, "findings", &list, err) &&
                read_count(list, "findings", EVIDENCE_FINDINGS_MAX, &e->finding_count, err);
    for (size_t i = 0; good && i < e->finding_count; i++) {
        good = finding_read_value(json_at(list, i), &e->findings[i], err) ||
               error_context(err, "finding %zu of the evidence", i + 1);
    }
    return good;
}

/* Why a human decided; only where one did. */
static bool read_reason(const json_value *root, evidence *e, error *err) {
    slice text = {0};
    if (e->version != EVIDENCE_VERSION_DECIDED) {
        return json_find(root, "reason") == NULL ||
               error_set(err, ERROR_INVALID, "\"reason\" is for evidence of version %d",
                         EVIDENCE_VERSION_DECIDED);
    }
    if (!json_get_text(root, "reason", &text, err)) {
        return false;
    }
    if (text.length == 0 || text.length > EVIDENCE_REASON_MAX || slice_find(text, '\0') != SIZE_MAX) {
        return error_set(err, ERROR_INVALID, "\"reason\" must be 1 to %d bytes of text", EVIDENCE_REASON_MAX);
    }
    memcpy(e->reason, text.data, text.length);
    return true;
}

static bool read_head(const json_value *root, evidence *e, error *err) {
    slice text;
    uint64_t version = 0;
    if (!json_get_text(root, "object", &text, err)) {
        return false;
    }
    if (!slice_equal_text(text, object_name)) {
        return error_set(err, ERROR_INVALID, "\"object\" must be \"%s\"", object_name);
    }
    if (!json_get_u64(root, "version", 0, UINT32_MAX, &version, err)) {
        return false;
    }
    e->version = (uint32_t)version;
    return read_reason(root, e, err) && evidence_version_is_known(e, err) &&
           read_hex(root, "pool", e->pool_id, sizeof e->pool_id, err) &&
           read_hex(root, "convicted", e->convicted, sizeof e->convicted, err) &&
           json_get_u64(root, "made_ms", 0, LEDGER_TIME_LIMIT, &e->made_ms, err);
}

static bool read_members(const json_value *root, evidence *e, error *err) {
    const json_value *receipt_object = NULL;
    return read_head(root, e, err) && json_get_object(root, "receipt", &receipt_object, err) &&
           (read_receipt(receipt_object, &e->receipt, err) ||
            error_context(err, "the receipt of the evidence")) &&
           read_answers(root, e, err) && read_findings(root, e, err) &&
           json_get_bytes(root, "pool_key", e->pool_key, sizeof e->pool_key, err) &&
           json_get_bytes(root, "pool_signature", e->pool_signature, sizeof e->pool_signature, err);
}

bool evidence_read_json(slice json, evidence *e, error *err) {
    memset(e, 0, sizeof *e);
    json_value *root = json_parse(json, limits, err);
    bool good = root != NULL && read_members(root, e, err);
    json_free(root);
    if (!good) {
        memset(e, 0, sizeof *e);
    }
    return good;
}
