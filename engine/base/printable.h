// Words of an untrusted file as they may stand in a one-line message.
#pragma once

#include <string>
#include <string_view>

namespace intactkv {

// Control and non-ASCII bytes as \xNN; at most 80 characters of it, then "...".
std::string Printable(std::string_view text);

}  // namespace intactkv
