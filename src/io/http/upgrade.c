#include "server_internal.h"
#include "websocket_internal.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

enum { KEY_LENGTH = WEBSOCKET_KEY_SIZE - 1, KEY_BYTES = 16 };

bool websocket_accept_of(slice key, char accept[WEBSOCKET_ACCEPT_SIZE]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[KEY_LENGTH + sizeof guid - 1];
    uint8_t digest[SHA_DIGEST_LENGTH];
    if (key.length != KEY_LENGTH) {
        return false;
    }
    memcpy(text, key.data, KEY_LENGTH);
    memcpy(text + KEY_LENGTH, guid, sizeof guid - 1);
    if (SHA1(text, sizeof text, digest) == NULL) {
        return false;
    }
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    return true;
}

/* 16 bytes in base64. */
static bool is_key(slice key) {
    if (key.length != KEY_LENGTH || key.data[KEY_LENGTH - 1] != '=' || key.data[KEY_LENGTH - 2] != '=') {
        return false;
    }
    uint8_t bytes[KEY_LENGTH];
    return EVP_DecodeBlock(bytes, key.data, KEY_LENGTH) == KEY_BYTES + 2;
}

static bool find_key(const http_request *request, slice *key) {
    const http1_head *head = &request->head;
    slice version;
    return slice_equal_text(http_request_method(request), "GET") && !head->minor_zero &&
           request->body_complete &&
           http1_list_has(head, SLICE_LITERAL("Upgrade"), SLICE_LITERAL("websocket")) &&
           http1_list_has(head, SLICE_LITERAL("Connection"), SLICE_LITERAL("Upgrade")) &&
           http1_count(head, SLICE_LITERAL("Sec-WebSocket-Version")) == 1 &&
           http1_find(head, SLICE_LITERAL("Sec-WebSocket-Version"), &version) &&
           slice_equal_text(version, "13") && http1_count(head, SLICE_LITERAL("Sec-WebSocket-Key")) == 1 &&
           http1_find(head, SLICE_LITERAL("Sec-WebSocket-Key"), key) && is_key(*key);
}

bool http_request_wants_websocket(const http_request *request, const char *subprotocol) {
    slice key;
    return find_key(request, &key) &&
           (subprotocol == NULL || http1_list_has(&request->head, SLICE_LITERAL("Sec-WebSocket-Protocol"),
                                                  slice_of_text(subprotocol)));
}

static bool agree(http_request *request, slice key, const char *subprotocol) {
    http_server *server = request->connection->server;
    char accept[WEBSOCKET_ACCEPT_SIZE];
    if (!websocket_accept_of(key, accept)) {
        return false;
    }
    buffer *head = &server->head;
    buffer_clear(head);
    http1_write_status(head, 101);
    http1_write_field(head, SLICE_LITERAL("Upgrade"), SLICE_LITERAL("websocket"));
    http1_write_field(head, SLICE_LITERAL("Connection"), SLICE_LITERAL("Upgrade"));
    http1_write_field(head, SLICE_LITERAL("Sec-WebSocket-Accept"), slice_of_text(accept));
    if (subprotocol != NULL) {
        http1_write_field(head, SLICE_LITERAL("Sec-WebSocket-Protocol"), slice_of_text(subprotocol));
    }
    return response_send(request->connection, head, slice_of(NULL, 0));
}

websocket *http_request_upgrade(http_request *request, const char *subprotocol,
                                const websocket_handlers *handlers, void *context, error *err) {
    http_connection *connection = request->connection;
    const http_server_config *config = &connection->server->config;
    slice key;
    if (request->over || request->begun || !http_request_wants_websocket(request, subprotocol) ||
        !find_key(request, &key)) {
        error_set(err, ERROR_INVALID, "this is not a request for a WebSocket of the expected subprotocol");
        return NULL;
    }
    websocket *ws = websocket_new(connection->server->net, handlers, context, err);
    if (ws == NULL) {
        return NULL;
    }
    if (!agree(request, key, subprotocol)) {
        websocket_free(ws);
        error_memory(err);
        return NULL;
    }
    ws->message_limit = config->websocket_limit;
    ws->message = buffer_make(ws->message_limit);
    ws->queue_limit = config->websocket_queue;
    websocket_attach(ws, connection->stream);
    websocket_is_open(ws);
    connection_upgraded(connection, ws);
    return ws;
}
