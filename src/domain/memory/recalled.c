#include "memory/recalled.h"

static const char heading[] =
    "Facts that the user wants to be remembered. Use what helps to answer, and leave the rest unmentioned:";

size_t recalled_characters(slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        count += (text.data[i] & 0xC0) == 0x80 ? 0 : 1;
    }
    return count;
}

static bool is_line_break(uint8_t byte) {
    return byte == '\n' || byte == '\r';
}

static void append_on_one_line(slice text, buffer *out) {
    for (size_t i = 0; i < text.length; i++) {
        buffer_append_byte(out, is_line_break(text.data[i]) ? ' ' : text.data[i]);
    }
}

bool recalled_write(const slice *facts, size_t count, slice system, buffer *out) {
    buffer_append_text(out, heading);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, "\n- ");
        append_on_one_line(facts[i], out);
    }
    if (system.length > 0) {
        buffer_append_text(out, "\n\n");
        buffer_append(out, system);
    }
    return !buffer_failed(out);
}

bool learned_ask(slice conversation, buffer *out) {
    buffer_append_text(
        out,
        "Below is a conversation between a user and an assistant. List what it tells about the user that "
        "will still be true and useful in later conversations: who he is, what he works on, what he likes, "
        "how he wants to be answered. Write one short sentence a line, each complete in itself, beginning "
        "with \"The user\", in the user's language. At most 20 lines, no numbers, no comments. Leave out "
        "passwords and other secrets, what the assistant said about itself, and what concerns this "
        "conversation alone. If there is nothing, write NONE.\n\n<conversation>\n");
    buffer_append(out, conversation);
    return buffer_append_text(out, "\n</conversation>");
}

/* "- ", "* ", "• ", "3. ", "3) " */
static slice without_mark(slice line) {
    static const char *const marks[] = {"- ", "* ", "\xE2\x80\xA2 "};
    size_t digits = 0;
    line = slice_trim(line);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (slice_starts_with(line, slice_of_text(marks[i]))) {
            return slice_trim(slice_after(line, strlen(marks[i])));
        }
    }
    while (digits < line.length && line.data[digits] >= '0' && line.data[digits] <= '9') {
        digits++;
    }
    bool numbered = digits > 0 && digits + 1 < line.length &&
                    (line.data[digits] == '.' || line.data[digits] == ')') && line.data[digits + 1] == ' ';
    return numbered ? slice_trim(slice_after(line, digits + 2)) : line;
}

static bool is_fact(slice line) {
    return line.length > 0 && line.length <= LEARNED_LINE_MAX && slice_is_utf8(line) &&
           slice_find(line, 0) == SIZE_MAX && !slice_equal_ignore_case(line, SLICE_LITERAL("none")) &&
           !slice_equal_ignore_case(line, SLICE_LITERAL("none."));
}

static slice take_line(slice *rest) {
    size_t end = 0;
    while (end < rest->length && !is_line_break(rest->data[end])) {
        end++;
    }
    slice line = slice_part(*rest, 0, end);
    *rest = slice_after(*rest, end + 1);
    return line;
}

bool learned_next(slice *rest, slice *line) {
    while (rest->length > 0) {
        *line = without_mark(take_line(rest));
        if (is_fact(*line)) {
            return true;
        }
    }
    return false;
}
