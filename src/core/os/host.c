#include "os/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

enum { DNS_NAME_LIMIT = 253, DNS_LABEL_LIMIT = 63 };

static void append_isa(char *isa, size_t size, const char *name, bool there) {
    size_t length = strlen(isa);
    if (there) {
        snprintf(isa + length, size - length, "%s%s", length > 0 ? "," : "", name);
    }
}

static void find_isa(char *isa, size_t size) {
    isa[0] = '\0';
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    append_isa(isa, size, "avx2", __builtin_cpu_supports("avx2"));
    append_isa(isa, size, "fma", __builtin_cpu_supports("fma"));
    append_isa(isa, size, "avx512f", __builtin_cpu_supports("avx512f"));
    append_isa(isa, size, "avx512bw", __builtin_cpu_supports("avx512bw"));
    append_isa(isa, size, "avx512vl", __builtin_cpu_supports("avx512vl"));
    append_isa(isa, size, "avx512vnni", __builtin_cpu_supports("avx512vnni"));
#elif defined(__aarch64__)
    unsigned long capabilities = getauxval(AT_HWCAP);
    append_isa(isa, size, "asimd", (capabilities & (1UL << 1)) != 0);    /* HWCAP_ASIMD */
    append_isa(isa, size, "asimddp", (capabilities & (1UL << 20)) != 0); /* HWCAP_ASIMDDP */
    append_isa(isa, size, "sve", (capabilities & (1UL << 22)) != 0);     /* HWCAP_SVE */
#else
    append_isa(isa, size, "", false);
#endif
}

bool host_describe(host_description *host, error *err) {
    struct utsname names;
    if (uname(&names) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "asking for the system's name");
    }
    *host = (host_description){0};
    snprintf(host->os, sizeof host->os, "%.30s %.33s", names.sysname, names.release);
    snprintf(host->architecture, sizeof host->architecture, "%.64s", names.machine);
    find_isa(host->isa, sizeof host->isa);
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    long cores = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed)
                                                                     : sysconf(_SC_NPROCESSORS_ONLN);
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);
    if (cores <= 0 || pages <= 0 || page_size <= 0) {
        return error_set(err, ERROR_IO, "the system does not tell its cores or its memory");
    }
    host->cores = (uint32_t)cores;
    host->ram_bytes = (uint64_t)pages * (uint64_t)page_size;
    return true;
}

static bool is_letter_or_digit(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_label(slice label) {
    if (label.length == 0 || label.length > DNS_LABEL_LIMIT || label.data[0] == '-' ||
        label.data[label.length - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.length; i++) {
        if (!is_letter_or_digit(label.data[i]) && label.data[i] != '-') {
            return false;
        }
    }
    return true;
}

bool host_is_dns_name(slice name) {
    if (name.length > DNS_NAME_LIMIT) {
        return false;
    }
    for (size_t dot = slice_find(name, '.'); dot != SIZE_MAX; dot = slice_find(name, '.')) {
        if (!is_label(slice_part(name, 0, dot))) {
            return false;
        }
        name = slice_after(name, dot + 1);
    }
    return is_label(name);
}

static void add_name(host_names *found, slice name) {
    if (found->name_count == HOST_NAME_LIMIT || !host_is_dns_name(name) ||
        slice_equal_ignore_case(name, SLICE_LITERAL("localhost"))) {
        return;
    }
    for (size_t i = 0; i < found->name_count; i++) {
        if (slice_equal_ignore_case(name, slice_of_text(found->names[i]))) {
            return;
        }
    }
    snprintf(found->names[found->name_count++], sizeof found->names[0], "%.*s", SLICE_FORMAT(name));
}

static bool entry_has(const struct hostent *entry, slice name) {
    bool has = slice_equal_ignore_case(slice_of_text(entry->h_name), name);
    for (char **alias = entry->h_aliases; !has && *alias != NULL; alias++) {
        has = slice_equal_ignore_case(slice_of_text(*alias), name);
    }
    return has;
}

/* gethostent reads /etc/hosts and, unlike a look-up, asks no server. */
static void add_names_from_hosts_file(host_names *found, slice name) {
    sethostent(0);
    const struct hostent *entry = NULL;
    while ((entry = gethostent()) != NULL) {
        if (entry_has(entry, name)) {
            add_name(found, slice_of_text(entry->h_name));
            for (char **alias = entry->h_aliases; *alias != NULL; alias++) {
                add_name(found, slice_of_text(*alias));
            }
        }
    }
    endhostent();
}

static bool is_reachable(const struct sockaddr *address, char *text, socklen_t size) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        uint32_t number = ntohl(v4->sin_addr.s_addr);
        bool local = number >> 24 == 127 || number >> 16 == 0xA9FE || number == 0;
        return !local && inet_ntop(AF_INET, &v4->sin_addr, text, size) != NULL;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        bool local = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
        return !local && inet_ntop(AF_INET6, &v6->sin6_addr, text, size) != NULL;
    }
    return false;
}

static void add_address(host_names *found, const char *text) {
    for (size_t i = 0; i < found->address_count; i++) {
        if (strcmp(found->addresses[i], text) == 0) {
            return;
        }
    }
    if (found->address_count < HOST_ADDRESS_LIMIT) {
        snprintf(found->addresses[found->address_count++], sizeof found->addresses[0], "%s", text);
    }
}

bool host_find_names(host_names *names, error *err) {
    *names = (host_names){0};
    char name[sizeof names->names[0]] = {0};
    if (gethostname(name, sizeof name - 1) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "asking for the host name");
    }
    slice whole = slice_of_text(name);
    add_name(names, whole);
    add_name(names, slice_part(whole, 0, slice_find(whole, '.')));
    add_names_from_hosts_file(names, whole);
    struct ifaddrs *interfaces = NULL;
    if (getifaddrs(&interfaces) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "listing the network interfaces");
    }
    for (const struct ifaddrs *i = interfaces; i != NULL; i = i->ifa_next) {
        char text[sizeof names->addresses[0]];
        bool usable =
            i->ifa_addr != NULL && (i->ifa_flags & IFF_UP) != 0 && (i->ifa_flags & IFF_LOOPBACK) == 0;
        if (usable && is_reachable(i->ifa_addr, text, sizeof text)) {
            add_address(names, text);
        }
    }
    freeifaddrs(interfaces);
    return true;
}
