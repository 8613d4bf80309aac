#ifndef MCP_RPC_H
#define MCP_RPC_H

#include "base/buffer.h"
#include "codec/json.h"
#include "codec/json_writer.h"

/* JSON-RPC 2.0, as the Model Context Protocol uses it. */
enum {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_BATCH_MAX = 64
};

typedef struct rpc_message {
    const json_value *id; /* NULL: a notification */
    slice method;
    const json_value *params; /* an object, or NULL */
} rpc_message;

typedef enum rpc_kind {
    RPC_REQUEST,
    RPC_NOTIFICATION,
    RPC_RESPONSE, /* to a request that was never made: to be ignored */
    RPC_INVALID
} rpc_kind;

/* `code` and `why`: of one that is invalid. Its id, if it has a good one, is given in any case. */
rpc_kind rpc_read(const json_value *value, rpc_message *message, int *code, const char **why);

/* Begins {"jsonrpc","id","result":…; then exactly one value; rpc_end. `id` NULL: null. */
void rpc_result_begin(json_writer *w, const json_value *id);
void rpc_end(json_writer *w);
void rpc_error(json_writer *w, const json_value *id, int code, const char *text);

#endif
