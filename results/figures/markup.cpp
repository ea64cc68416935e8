#include "results/figures/markup.h"

namespace bakeoff {
namespace {

// The length of the character that begins with that byte; 1 for anything that is no beginning.
std::size_t character_bytes(unsigned char first) {
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}

double character_width(std::string_view character) {
  if (character.size() == 1) {
    const char c = character[0];
    if (std::string_view("il.,:;|'!jI/()[] ").find(c) != std::string_view::npos) return 0.31;
    if (std::string_view("mwMW@%").find(c) != std::string_view::npos) return 0.88;
    return c >= 'A' && c <= 'Z' ? 0.68 : 0.56;
  }
  const auto first = static_cast<unsigned char>(character[0]);
  if (first == 0xcc || first == 0xcd) return 0;  // accents that combine with the letter before
  return first >= 0xe3 && character.size() >= 3 ? 1.0 : 0.6;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f)
          out += "\xef\xbf\xbd";
        else
          out += c;
      }
    }
  }
  return out;
}

std::string script_safe(std::string json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<')
      out += "\\u003c";
    else if (c == '>')
      out += "\\u003e";
    else if (c == '&')
      out += "\\u0026";
    else
      out += c;
  }
  return out;
}

double text_width(std::string_view text) {
  double width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = character_bytes(static_cast<unsigned char>(text[i]));
    width += character_width(text.substr(i, bytes));
    i += bytes;
  }
  return width;
}

std::string shortened(const std::string& text, double width) {
  if (text_width(text) <= width) return text;
  double so_far = 1;  // the ellipsis
  std::size_t end = 0;
  while (end < text.size()) {
    const std::size_t bytes = character_bytes(static_cast<unsigned char>(text[end]));
    so_far += character_width(std::string_view(text).substr(end, bytes));
    if (so_far > width) break;
    end += bytes;
  }
  return text.substr(0, end) + "…";
}

}  // namespace bakeoff
