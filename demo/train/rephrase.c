#include "rephrase.h"

enum { ALTERNATIVES = 8 };

typedef struct alternatives {
    const char *known;
    const char *others[ALTERNATIVES]; /* ends with NULL */
} alternatives;

/* The longest openings first: the first that fits is taken. */
static const alternatives openings[] = {
    {"What happens when ", {"What happens if ", "What if ", "What occurs when ", "when "}},
    {"What happens if ", {"What happens when ", "What if ", "What occurs if "}},
    {"What happens to ", {"What becomes of ", "What about ", "What will happen to "}},
    {"How long is ", {"For how long is ", "How many minutes is ", "What is the duration of "}},
    {"How do I ",
     {"How can I ", "How would I ", "How to ", "What is the way to ", "I want to ", "What do I do to ", ""}},
    {"How can I ", {"How do I ", "How could I ", "How to ", "What must I do to ", "I need to "}},
    {"How does ", {"In what way does ", "Explain how ", "By what means does "}},
    {"How is ", {"How exactly is ", "In what way is ", "By what means is "}},
    {"How are ", {"How exactly are ", "In what way are ", "By what means are "}},
    {"What is ", {"What's ", "Explain ", "Can you explain ", "What exactly is ", "Define ", "Describe ", ""}},
    {"What are ", {"Explain ", "Can you explain ", "What exactly are ", "Describe ", ""}},
    {"What does ", {"Can you explain what ", "What exactly does ", "What will ", "Explain what "}},
    {"Explain ",
     {"What is ", "What's ", "Describe ", "Can you explain ", "Tell me about ", "What is meant by "}},
    {"Can I ", {"May I ", "Could I ", "Is it possible to ", "Am I able to ", "Would I be able to "}},
    {"Can you ", {"Could you ", "Are you able to ", "Will you "}},
    {"Can ", {"Could ", "Is it possible that ", "May "}},
    {"Do I need ", {"Must I have ", "Is it necessary to have ", "Do I require ", "Will I need "}},
    {"Does Cellule ", {"Does it ", "Can Cellule ", "Will Cellule ", "Do you ", "Would Cellule "}},
    {"Does ", {"Will ", "Would ", "Is it true that "}},
    {"Is there ", {"Do you have ", "Is there any kind of ", "Do you offer ", "Does Cellule have "}},
    {"Are there ", {"Do you have ", "Are there any ", "Does Cellule have "}},
    {"Where is ", {"Where can I find ", "Where do I find ", "Where would I see ", "In which place is "}},
    {"Where are ", {"Where can I find ", "Where do I find ", "Where would I see ", "In which place are "}},
    {"Where do I ", {"Where can I ", "In which place do I ", "From where do I "}},
    {"Which ", {"What ", "What kind of ", "List the "}},
    {"What ", {"Which ", "Tell me what "}},
    {"Who ", {"Which person ", "Which people "}},
    {"Why is ", {"For what reason is ", "What is the reason that ", "How come "}},
    {"Why does ", {"For what reason does ", "What is the reason that ", "How come "}},
    {"Why do I ", {"For what reason do I ", "What is the reason that I ", "How come I "}},
    {"Why ", {"For what reason ", "What is the reason "}},
    {"Should I ", {"Ought I to ", "Is it better to ", "Would it be useful to "}},
    {"Will ", {"Would ", "Is it going to be that "}},
    {"List ", {"Show me ", "Tell me ", "What are "}},
    {"Show me ", {"List ", "Can I see ", "How can I view "}},
};

static const alternatives words[] = {
    {"machine", {"computer", "host", "laptop"}},
    {"worker", {"machine", "worker machine"}},
    {"answer", {"reply", "response", "output"}},
    {"question", {"query", "prompt", "request"}},
    {"prompt", {"question", "prompts", "message"}},
    {"prompts", {"questions", "messages", "prompt"}},
    {"make", {"create", "produce", "get"}},
    {"create", {"make", "produce", "set up"}},
    {"start", {"launch", "begin", "run"}},
    {"run", {"start", "launch", "use"}},
    {"stop", {"end", "quit", "terminate"}},
    {"remove", {"delete", "drop", "kick out"}},
    {"delete", {"remove", "wipe", "erase"}},
    {"check", {"verify", "test", "inspect"}},
    {"verify", {"check", "validate"}},
    {"use", {"work with", "employ", "try"}},
    {"used", {"employed", "taken"}},
    {"stored", {"kept", "saved", "held"}},
    {"store", {"keep", "save", "retain"}},
    {"keep", {"store", "retain", "hold"}},
    {"user", {"person", "account", "employee"}},
    {"key", {"API key", "token"}},
    {"folder", {"directory", "place"}},
    {"directory", {"folder", "location"}},
    {"command", {"subcommand", "verb"}},
    {"commands", {"subcommands", "verbs"}},
    {"show", {"display", "print", "list"}},
    {"see", {"view", "look at", "find"}},
    {"list", {"show", "enumerate"}},
    {"find", {"see", "locate", "get"}},
    {"settings", {"options", "configuration", "config"}},
    {"configuration", {"config", "settings"}},
    {"support", {"offer", "handle", "allow"}},
    {"supported", {"available", "possible", "allowed", "accepted"}},
    {"available", {"offered", "possible", "there"}},
    {"fast", {"quick", "speedy"}},
    {"slow", {"sluggish", "lagging"}},
    {"big", {"large", "huge"}},
    {"large", {"big", "huge"}},
    {"safe", {"secure", "protected"}},
    {"secure", {"safe", "protected"}},
    {"network", {"connection", "internet"}},
    {"connect", {"attach", "link", "join"}},
    {"happens", {"occurs", "is done"}},
    {"fails", {"breaks", "does not work", "goes wrong"}},
    {"crashes", {"dies", "goes down", "breaks"}},
    {"contain", {"hold", "include", "have"}},
    {"means", {"stands for", "is"}},
    {"mean", {"stand for", "say"}},
    {"need", {"require", "want"}},
    {"needed", {"required", "necessary"}},
    {"required", {"needed", "necessary"}},
    {"give", {"hand", "provide", "pass"}},
    {"send", {"transmit", "post", "pass"}},
    {"change", {"alter", "modify", "set"}},
    {"several", {"many", "multiple", "two"}},
    {"multiple", {"several", "many"}},
    {"signed", {"certified", "sealed"}},
    {"purpose", {"point", "aim", "use"}},
    {"works", {"functions", "operates"}},
    {"work", {"function", "operate"}},
    {"new", {"fresh", "another"}},
    {"pool", {"server", "service", "pool server"}},
    {"requests", {"queries", "questions", "calls"}},
    {"request", {"query", "question", "call"}},
    {"released", {"published", "distributed"}},
    {"library", {"package", "lib"}},
    {"memory", {"RAM", "storage"}},
    {"prevented", {"avoided", "stopped"}},
    {"protect", {"guard", "defend", "shield"}},
    {"revoke", {"ban", "block", "withdraw", "kick out"}},
    {"revoked", {"banned", "blocked", "withdrawn"}},
    {"block", {"ban", "revoke", "lock out"}},
    {"join", {"enrol", "register", "connect"}},
    {"enrol", {"join", "register", "add"}},
    {"add", {"create", "register", "set up", "attach"}},
    {"receipt", {"signed receipt", "certificate of the answer", "proof"}},
    {"computer", {"machine", "PC", "laptop", "host"}},
    {"machines", {"computers", "hosts", "PCs"}},
    {"workers", {"machines", "nodes"}},
    {"users", {"people", "accounts", "employees"}},
    {"employee", {"user", "colleague", "member of staff"}},
    {"keys", {"API keys", "tokens", "credentials"}},
    {"file", {"document", "path"}},
    {"lost", {"forgot", "misplaced", "mislaid"}},
    {"expire", {"run out", "end", "lapse"}},
    {"expired", {"run out", "ended", "lapsed"}},
    {"valid", {"good", "correct", "usable"}},
    {"speed", {"performance", "throughput"}},
    {"install", {"set up", "put on"}},
    {"build", {"compile", "make"}},
    {"written", {"coded", "programmed", "implemented"}},
    {"upgrade", {"update", "move to a newer version"}},
    {"update", {"upgrade", "renew"}},
    {"log", {"logging", "log file", "logs"}},
    {"logs", {"log", "log files", "logging output"}},
    {"read", {"see", "look at", "view"}},
    {"error", {"failure", "problem", "fault"}},
    {"problem", {"issue", "bug", "trouble"}},
    {"limit", {"restrict", "cap", "bound"}},
    {"long", {"much time", "lengthy"}},
    {"conversation", {"chat", "dialogue", "thread"}},
    {"conversations", {"chats", "chat history"}},
    {"encrypted", {"protected by TLS", "ciphered", "scrambled"}},
    {"certificate", {"cert", "TLS certificate"}},
    {"connection", {"link", "socket", "network link"}},
    {"download", {"get", "fetch", "obtain"}},
    {"get", {"obtain", "fetch", "receive"}},
    {"fetch", {"get", "obtain", "retrieve"}},
    {"model", {"LLM", "language model"}},
    {"models", {"LLMs", "language models"}},
    {"tests", {"test suite", "checks"}},
    {"test", {"check", "try"}},
    {"config", {"settings", "configuration"}},
    {"backup", {"copy", "back up"}},
    {"program", {"app", "application", "script"}},
    {"compute", {"calculate", "generate"}},
    {"computes", {"calculates", "generates"}},
    {"dead", {"gone", "lost", "offline"}},
    {"dies", {"crashes", "goes away", "disappears"}},
    {"full", {"exhausted", "out of space"}},
    {"cancel", {"abort", "interrupt", "stop"}},
    {"admin", {"administrator", "operator"}},
    {"administer", {"manage", "operate"}},
    {"manage", {"administer", "control"}},
    {"allowed", {"permitted", "possible"}},
    {"offline", {"without network", "without internet"}},
    {"choose", {"pick", "select"}},
    {"explain", {"describe", "tell me about"}},
    {"fake", {"forge", "falsify"}},
    {"forged", {"faked", "falsified"}},
    {"hang", {"freeze", "stall"}},
    {"restart", {"reboot", "start again"}},
    {"detected", {"noticed", "found", "caught"}},
    {"reveal", {"leak", "show", "expose"}},
    {"documentation", {"docs", "manual"}},
};

static slice choose(const alternatives *a, random_source *random) {
    uint32_t count = 0;
    while (count < ALTERNATIVES && a->others[count] != NULL) {
        count++;
    }
    return slice_of_text(a->others[random_below(random, count)]);
}

slice rephrase_opening(slice question, random_source *random, size_t *kept) {
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        slice known = slice_of_text(openings[i].known);
        if (slice_starts_with(question, known)) {
            *kept = known.length;
            return choose(&openings[i], random);
        }
    }
    *kept = 0;
    return slice_of(NULL, 0);
}

slice rephrase_word(slice word, random_source *random) {
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_equal_text(word, words[i].known)) {
            return choose(&words[i], random);
        }
    }
    return word;
}
