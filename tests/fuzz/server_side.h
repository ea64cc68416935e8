// The targets in core/http: in a file of their own, as client and server each have a type Request.
#pragma once

#include <string_view>

namespace bakeoff::fuzz {

void request(std::string_view bytes);
void target(std::string_view bytes);
void conditional(std::string_view bytes);
void beside_llhttp(std::string_view bytes);  // where it is installed

}  // namespace bakeoff::fuzz
