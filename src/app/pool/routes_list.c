#include "commands.h"

#include "base/memory.h"
#include "codec/json_writer.h"
#include "options/options.h"
#include "route_table.h"

#include <stdio.h>

enum { LIST_LIMIT = 1024 * 1024 };

static bool may_call(const route *r, auth_role role) {
    return r->open != NULL || auth_allowed(role, r->action);
}

static void write_route(json_writer *w, const route *r) {
    json_write_object_begin(w);
    json_add_text(w, "method", slice_of_text(r->method));
    json_add_text(w, "path", slice_of_text(r->path));
    json_add_bool(w, "open", r->open != NULL);
    if (r->open == NULL) {
        json_add_text(w, "action", slice_of_text(auth_action_name(r->action)));
    }
    json_write_key(w, "roles");
    json_write_array_begin(w);
    for (unsigned role = 0; role < AUTH_ROLE_COUNT; role++) {
        if (may_call(r, (auth_role)role)) {
            json_write_text(w, slice_of_text(auth_role_name((auth_role)role)));
        }
    }
    json_write_array_end(w);
    json_add_bool(w, "audited", r->open == NULL && auth_is_entered(r->action));
    json_add_text(w, "help", slice_of_text(r->help));
    json_write_object_end(w);
}

static bool print_json(error *err) {
    buffer text = buffer_make(LIST_LIMIT);
    json_writer w = json_writer_make(&text);
    json_write_object_begin(&w);
    json_write_key(&w, "roles");
    json_write_array_begin(&w);
    for (unsigned role = 0; role < AUTH_ROLE_COUNT; role++) {
        json_write_text(&w, slice_of_text(auth_role_name((auth_role)role)));
    }
    json_write_array_end(&w);
    json_write_key(&w, "routes");
    json_write_array_begin(&w);
    for (size_t i = 0; i < route_count; i++) {
        write_route(&w, &route_table[i]);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    bool whole = !buffer_failed(&text) || error_memory(err);
    if (whole) {
        printf("%.*s\n", SLICE_FORMAT(buffer_slice(&text)));
    }
    buffer_free(&text);
    return whole;
}

static void print_roles(const route *r) {
    bool first = true;
    if (r->open != NULL) {
        printf("anybody");
        return;
    }
    for (unsigned role = 0; role < AUTH_ROLE_COUNT; role++) {
        if (may_call(r, (auth_role)role)) {
            printf("%s%s", first ? "" : ", ", auth_role_name((auth_role)role));
            first = false;
        }
    }
}

static void print_table(void) {
    for (size_t i = 0; i < route_count; i++) {
        const route *r = &route_table[i];
        printf("%-4s %s\n     %s\n     ", r->method, r->path, r->help);
        print_roles(r);
        printf("\n");
    }
}

int pool_routes_main(int argc, char **argv) {
    bool json = false;
    const option_row rows[] = {{"json", OPTION_FLAG, &json, NULL, "print the table as JSON", 0, 0}};
    const option_table table = {
        .usage = "cellule pool routes [options]",
        .summary = "Prints every address of the API, what it does and which roles may call it.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    if (!json) {
        print_table();
        return 0;
    }
    return print_json(&err) ? 0 : options_fail("cellule pool routes", &err);
}
