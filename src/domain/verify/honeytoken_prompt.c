#include "verify/honeytoken.h"

static const slice place = {(const uint8_t *)"{id}", 4};

static const char *const patterns[] = {
    "Rewrite this for a customer, friendly and short: \"Your refund {id} was approved on Monday and will "
    "take "
    "five working days.\"",
    "What does this line of our log mean?\n\n2031-05-14 08:12:44 WARN [gateway] request {id} retried 3 "
    "times, "
    "upstream timed out after 30000 ms",
    "Write an SQL query that returns all orders of the customer with id '{id}' from table orders, newest "
    "first.",
    "Summarise in one sentence: The parcel {id} left the warehouse in Lyon on Tuesday, was held at customs "
    "for "
    "two days because of a missing invoice, and is expected on Friday.",
    "Translate into German: \"Please quote the reference {id} in all further correspondence.\"",
    "Translate into French: \"The meeting room is booked under {id}; the code for the door comes by mail.\"",
    "Is this valid JSON? If not, correct it.\n\n{\"session\": \"{id}\", \"user\": \"m.keller\", \"roles\": "
    "[\"editor\", \"reviewer\",]}",
    "Turn this into bullet points: Ticket {id} was opened by the Graz office, the printer on floor 2 prints "
    "blank pages, a new drum was ordered, and a technician comes on Thursday at 9.",
    "Draft a reply to a supplier who says that our payment {id} hasn't arrived. We sent it on the 3rd.",
    "Explain to a colleague without technical background what went wrong:\n\nERROR sync: object {id} has "
    "version 7 here and version 9 on the server, local changes were not uploaded",
    "Make this shorter and keep all facts: As discussed on the phone this morning, we hereby confirm that "
    "the "
    "contract with the number {id} will be extended by twelve months under unchanged conditions.",
    "Write a curl command that deletes the document {id} over our REST API at "
    "https://api.example.com/v2/documents.",
    "Which fields are missing in this record compared with a usual invoice?\n\nInvoice {id}\nDate: 2 March\n"
    "Consulting, 14 hours: 1,680.00\nTotal: 1,680.00",
    "Write the subject line of an e-mail about the delayed deployment {id}; the cause was a full disk.",
    "Put this in the past tense: The batch {id} passes the inspection, and the quality team releases it.",
    "How do I find in Excel all rows whose column B contains {id}?",
    "Correct spelling and grammar: The costumer with the number {id} have called twice becaus his acount are "
    "locked since yesterday.",
    "Write a regular expression that matches identifiers such as {id}, and explain it in two sentences.",
    "Classify this message as complaint, question or praise, one word: \"My request {id} has been open for "
    "six "
    "weeks now and nobody calls me back.\"",
    "Write a unit test in Python for parse_identifier(\"{id}\"), which returns 16 bytes.",
    "Extract date, place and reference as a table: On 9 November the sample {id} was taken at the Rotterdam "
    "plant and sent to the laboratory.",
    "Write a short note for the handover: machine 4 runs order {id} until about 22:00, then it needs new "
    "coolant.",
    "Explain this configuration line by line:\n\n[tenant]\nid = {id}\nregion = eu-central\nretention_days = "
    "30",
    "Phrase it more politely: \"You forgot to attach the form for {id}. Send it today.\"",
};

enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

slice honeytoken_pattern(uint64_t number) {
    return slice_of_text(patterns[number % PATTERNS]);
}

static size_t count_places(slice pattern) {
    size_t count = 0;
    size_t at = 0;
    while ((at = slice_find_slice(pattern, place)) != SIZE_MAX) {
        count++;
        pattern = slice_after(pattern, at + place.length);
    }
    return count;
}

bool honeytoken_write(slice pattern, const char *marker, buffer *out, error *err) {
    size_t count = count_places(pattern);
    slice text = slice_of_text(marker);
    if (count == 0) {
        return error_set(err, ERROR_INVALID, "a honeytoken's text needs {id} where the marker is to stand");
    }
    size_t fixed = pattern.length - count * place.length;
    size_t room = out->limit > buffer_length(out) ? out->limit - buffer_length(out) : 0;
    if (fixed > room || (text.length > 0 && count > (room - fixed) / text.length)) {
        return error_set(err, ERROR_LIMIT, "a honeytoken's text is too long");
    }
    if (buffer_reserve(out, fixed + count * text.length) == NULL) {
        return error_memory(err);
    }
    for (size_t at; (at = slice_find_slice(pattern, place)) != SIZE_MAX;) {
        buffer_append(out, slice_part(pattern, 0, at));
        buffer_append(out, text);
        pattern = slice_after(pattern, at + place.length);
    }
    buffer_append(out, pattern);
    return true;
}
