#ifndef MCP_TOOLS_H
#define MCP_TOOLS_H

#include "client/api.h"
#include "codec/json_writer.h"

/* The tools that an agent is offered, each a call of the pool's API. */

/* Writes the result of tools/list: an object. */
void tools_list(json_writer *w);

typedef enum tool_outcome {
    TOOL_ANSWERED, /* `result` is an object of JSON */
    TOOL_FAILED,   /* err says why: for whoever reads the tool's result */
    TOOL_MISUSED   /* there is no such tool, or the arguments aren't its: the caller's protocol error */
} tool_outcome;

enum { TOOL_RESULT_MAX = 8 * 1024 * 1024 };

/* `arguments`: an object, or NULL. Appends to `result`. */
tool_outcome tools_call(api *pool, slice name, const json_value *arguments, buffer *result, error *err);

#endif
