#include "store/store.h"

bool store_user_name_is_valid(slice name) {
    if (name.length == 0 || name.length > STORE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        uint8_t c = name.data[i];
        bool allowed =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '@' || c == '-';
        if (!allowed) {
            return false;
        }
    }
    return true;
}

bool store_display_name_is_valid(slice name) {
    if (name.length == 0 || name.length > STORE_NAME_MAX || !slice_is_utf8(name)) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        if (name.data[i] < ' ' || name.data[i] == 0x7F) {
            return false;
        }
    }
    return true;
}
