#include "options/terminal.h"

#include <errno.h>
#include <unistd.h>

/* Of the character that `text` begins with; 0 if it isn't to be shown. C1 controls are U+0080 to U+009F. */
static size_t shown_length(slice text) {
    uint8_t c = text.data[0];
    size_t length = slice_utf8_length(text);
    bool c0 = (c < ' ' && c != '\n' && c != '\t') || c == 0x7F;
    bool c1 = length == 2 && c == 0xC2 && text.data[1] < 0xA0;
    return c0 || c1 ? 0 : length;
}

void terminal_write(FILE *out, slice text) {
    static const char replacement[] = "\xEF\xBF\xBD";
    /* A sandbox forbids asking (EPERM): then it may be a terminal. */
    bool plain = isatty(fileno(out)) == 0 && errno != EPERM;
    while (!plain && text.length > 0) {
        size_t length = shown_length(text);
        if (length > 0) {
            fwrite(text.data, 1, length, out);
        } else {
            bool c1 = slice_utf8_length(text) == 2;
            fputs(replacement, out);
            length = c1 ? 2 : 1;
        }
        text = slice_after(text, length);
    }
    if (text.length > 0) {
        fwrite(text.data, 1, text.length, out);
    }
}
