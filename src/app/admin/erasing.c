#include "erasing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SIZE = 64 };

static void print_erasure(const json_value *answer) {
    printf("erased: nothing of it can be read any more\n");
    if (admin_flag(answer, "clearing")) {
        printf("its space in the database is still being cleared; that goes on by itself\n");
    }
}

/* From a terminal, by the word; a script says --yes. */
static bool is_meant(const char *program, const char *name, bool yes) {
    char line[LINE_SIZE];
    if (yes) {
        return true;
    }
    if (isatty(STDIN_FILENO) != 1) {
        fprintf(stderr, "%s: nobody is there to be asked whether it is meant: say --yes\n", program);
        return false;
    }
    fprintf(stderr, "This erases all conversations and facts that %s keep%s, for good. Type \"everything\": ",
            name == NULL ? "you" : name, name == NULL ? "" : "s");
    if (fgets(line, sizeof line, stdin) == NULL || strcmp(line, "everything\n") != 0) {
        fprintf(stderr, "%s: nothing was erased\n", program);
        return false;
    }
    return true;
}

int admin_run_erasing(const admin_options *options, const char *program, const char *path, const char *name,
                      bool yes) {
    if (!is_meant(program, name, yes)) {
        return 1;
    }
    admin_call call = {.program = program,
                       .method = "POST",
                       .path = path,
                       .body = SLICE_LITERAL("{\"confirm\":\"everything\"}"),
                       .print = print_erasure};
    return admin_run(options, &call);
}
