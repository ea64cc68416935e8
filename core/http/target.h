// From a request's target to a name below the document root (RFC 3986, 5.2.4 and 6.2.2), without any I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bakeoff {

// True for the targets nearly every request has: absolute, no '%', '?', '#', no empty, "." or ".." segment, no control
// byte, not ending in '/'. Such a target is its own normal form.
bool is_plain(std::string_view target);

// The normal form of a target: query and fragment cut, percent-decoded once, dot segments removed, empty segments
// merged; begins with '/', ends with "/index.html" where the target named a directory by a closing slash.
// Nothing when it is malformed (bad escape, NUL byte, not absolute) or climbs above the root: a 400.
std::optional<std::string> normalise_target(std::string_view target);

}  // namespace bakeoff
