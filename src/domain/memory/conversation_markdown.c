#include "conversation_internal.h"

#include <time.h>

/* Markdown after CommonMark 0.31 (spec.commonmark.org), which the sections named here are of. What was said
 * is a code block; the answer is a quote, so that whatever it leaves open ends with it (§5.1). Three things
 * would reach beyond the quote: HTML (§4.6, §6.6), definitions of links (§4.7), and images (§6.4), which are
 * fetched from elsewhere when somebody looks. They are escaped wherever it isn't certain that they stand in a
 * code block. */
enum { FENCE_MIN = 3, FENCE_INDENT_MAX = 3, YEAR_MAX = 9999, LABEL_MAX = 256 };

/* A line without its end (§2.1): "\n", "\r" or both. */
static slice take_line(slice *text) {
    size_t end = 0;
    while (end < text->length && text->data[end] != '\n' && text->data[end] != '\r') {
        end++;
    }
    slice line = slice_part(*text, 0, end);
    bool both = end + 1 < text->length && text->data[end] == '\r' && text->data[end + 1] == '\n';
    *text = slice_after(*text, end + (both ? 2 : 1));
    return line;
}

static size_t run_length(slice text, uint8_t byte) {
    size_t length = 0;
    while (length < text.length && text.data[length] == byte) {
        length++;
    }
    return length;
}

static size_t longest_run(slice text, uint8_t byte) {
    size_t longest = 0;
    for (size_t i = 0; i < text.length; i++) {
        size_t run = run_length(slice_after(text, i), byte);
        longest = run > longest ? run : longest;
        i += run;
    }
    return longest;
}

static void write_fence(buffer *out, size_t length) {
    for (size_t i = 0; i < length; i++) {
        buffer_append_byte(out, '`');
    }
    buffer_append_byte(out, '\n');
}

/* As it is, between fences that are longer than any in it (§4.5). */
static void write_verbatim(slice text, buffer *out) {
    size_t longest = longest_run(text, '`');
    size_t length = longest < FENCE_MIN ? FENCE_MIN : longest + 1;
    write_fence(out, length);
    buffer_append(out, text);
    if (text.length > 0 && text.data[text.length - 1] != '\n') {
        buffer_append_byte(out, '\n');
    }
    write_fence(out, length);
    buffer_append_byte(out, '\n');
}

/* The fence of a code block that is open; length 0: none is. */
typedef struct fence {
    uint8_t mark;
    size_t length;
    bool unsure; /* whether there are others: one that is indented may belong to a list, and end with it */
} fence;

/* Whether the line opens a block for certain. */
static bool opens(slice line, fence *f) {
    uint8_t mark = line.length > 0 ? line.data[0] : 0;
    size_t length = run_length(line, mark);
    bool certain = !f->unsure && (mark == '`' || mark == '~') && length >= FENCE_MIN &&
                   (mark == '~' || slice_find(slice_after(line, length), '`') == SIZE_MAX);
    if (certain) {
        f->mark = mark;
        f->length = length;
    } else if (longest_run(line, '`') >= FENCE_MIN || longest_run(line, '~') >= FENCE_MIN) {
        f->unsure = true;
    }
    return certain;
}

static bool closes(slice line, const fence *f) {
    size_t indent = run_length(line, ' ');
    slice rest = slice_after(line, indent);
    size_t length = run_length(rest, f->mark);
    return indent <= FENCE_INDENT_MAX && length >= f->length &&
           slice_trim(slice_after(rest, length)).length == 0;
}

static bool reaches_out(slice line, size_t i) {
    uint8_t c = line.data[i];
    return c == '<' || (c == ':' && i > 0 && line.data[i - 1] == ']') ||
           (c == '!' && i + 1 < line.length && line.data[i + 1] == '[');
}

/* What has a backslash already keeps that alone. */
static void write_escaped(slice line, buffer *out) {
    size_t backslashes = 0;
    for (size_t i = 0; i < line.length; i++) {
        if (reaches_out(line, i) && backslashes % 2 == 0) {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, line.data[i]);
        backslashes = line.data[i] == '\\' ? backslashes + 1 : 0;
    }
}

void conversation_write_markdown_title(slice title, buffer *out) {
    buffer_append_text(out, "# ");
    write_escaped(title, out);
    buffer_append_text(out, "\n\n");
}

static void write_quoted(slice text, buffer *out) {
    fence f = {0};
    while (text.length > 0) {
        slice line = take_line(&text);
        buffer_append_text(out, line.length > 0 ? "> " : ">");
        if (f.length > 0) {
            buffer_append(out, line);
            f.length = closes(line, &f) ? 0 : f.length;
        } else if (opens(line, &f)) {
            buffer_append(out, line);
        } else {
            write_escaped(line, out);
        }
        buffer_append_byte(out, '\n');
    }
    buffer_append_byte(out, '\n');
}

static bool is_plain(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           strchr(" ._-:/+@()", c) != NULL;
}

/* A name for a heading, in a code span: what could end it is a "?". */
static void write_name(slice name, buffer *out) {
    buffer_append_byte(out, '`');
    for (size_t i = 0; i < name.length && i < LABEL_MAX; i++) {
        buffer_append_byte(out, name.data[i] != 0 && is_plain(name.data[i]) ? name.data[i] : '?');
    }
    buffer_append_byte(out, '`');
}

static void write_role(slice role, buffer *out) {
    static const char *const known[][2] = {{"user", "User"},
                                           {"assistant", "Assistant"},
                                           {"system", "System"},
                                           {"developer", "Developer"},
                                           {"tool", "Tool"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_equal_text(role, known[i][0])) {
            buffer_append_text(out, known[i][1]);
            return;
        }
    }
    write_name(role, out);
}

static void write_date(uint64_t unix_ms, buffer *out) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm date;
    if (gmtime_r(&seconds, &date) != NULL && date.tm_year <= YEAR_MAX - 1900) {
        buffer_append_format(out, ", %04d-%02d-%02d %02d:%02d UTC", date.tm_year + 1900, date.tm_mon + 1,
                             date.tm_mday, date.tm_hour, date.tm_min);
    }
}

static const char *note_of(conversation_end end) {
    switch (end) {
    case CONVERSATION_COMPLETE:
        return "";
    case CONVERSATION_LENGTH:
        return "*The answer ended at the length that was asked for.*\n\n";
    case CONVERSATION_CUT:
        return "*The answer was cut off.*\n\n";
    default:
        return "*The answer ended with an error.*\n\n";
    }
}

void conversation_write_markdown(const conversation_turn *turn, buffer *out) {
    for (size_t i = 0; i < turn->message_count; i++) {
        buffer_append_text(out, "### ");
        write_role(turn->messages[i].role, out);
        buffer_append_text(out, "\n\n");
        write_verbatim(turn->messages[i].content, out);
    }
    buffer_append_text(out, "### Assistant: ");
    write_name(turn->model, out);
    write_date(turn->created_ms, out);
    buffer_append_text(out, "\n\n");
    if (turn->answer.length > 0) {
        write_quoted(turn->answer, out);
    }
    buffer_append_text(out, note_of(turn->end));
}
