// Whether a text is well-formed XML, as far as this project writes it: elements that close in order, attributes in
// double quotes, five entities, no doctype.
#pragma once

#include <regex>
#include <string>
#include <vector>

namespace bakeoff::test {

inline bool is_well_formed(const std::string& text) {
  static const std::regex tag(
      "<(/?)([A-Za-z][A-Za-z0-9:-]*)((?:\\s+[A-Za-z_:][A-Za-z0-9_:.-]*=\"[^\"<]*\")*)\\s*(/?)>");
  static const std::regex entity("&(amp|lt|gt|quot|#[0-9]+|#x[0-9a-fA-F]+);");
  std::vector<std::string> open;
  std::size_t roots = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '>') return false;
    if (text[at] == '&') {
      std::smatch found;
      if (!std::regex_search(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), found, entity,
                             std::regex_constants::match_continuous))
        return false;
      at += static_cast<std::size_t>(found.length());
      continue;
    }
    if (text[at] != '<') {
      ++at;
      continue;
    }
    std::smatch found;
    if (!std::regex_search(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), found, tag,
                           std::regex_constants::match_continuous))
      return false;
    if (found[1].length() > 0) {
      if (open.empty() || open.back() != found[2].str()) return false;
      open.pop_back();
    } else {
      roots += open.empty() ? 1 : 0;
      if (found[4].length() == 0) open.push_back(found[2].str());
    }
    at += static_cast<std::size_t>(found.length());
  }
  return open.empty() && roots == 1;
}

}  // namespace bakeoff::test
