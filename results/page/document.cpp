#include "results/page/document.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string_view>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "results/figures/markup.h"
#include "results/sha256.h"

namespace bakeoff {
namespace {

std::string base64_of_hex(const std::string& hex) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<unsigned> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<unsigned>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const unsigned group = bytes[i] << 16 | (left > 1 ? bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
    for (std::size_t c = 0; c < 4; ++c) text += c <= left ? letters[group >> (18 - 6 * c) & 63] : '=';
  }
  return text;
}

// No text within a script can end it.
std::string as_script(std::string text) {
  for (const std::string end : {"</script", "<!--"}) {
    for (std::size_t at = text.find(end); at != std::string::npos; at = text.find(end, at + 2))
      text.insert(at + 1, "\\");
  }
  return text;
}

}  // namespace

std::string data_text(const std::string& path) {
  const std::filesystem::path file = data_dir() / path;
  std::ifstream in(file, std::ios::binary);
  if (!in) throw StartError("cannot read " + file.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string json_element(const std::string& id, const std::string& json) {
  return "<script type=\"application/json\" id=\"" + id + "\">" + script_safe(json) + "</script>\n";
}

std::string section(const std::string& id, const std::string& title, const std::string& content) {
  return content.empty() ? "" : "<section id=\"" + id + "\"><h2>" + title + "</h2>" + content + "</section>\n";
}

std::string isolated(const std::string& text) { return "<bdi>" + escaped(text) + "</bdi>"; }

std::string table_element(const std::string& caption, const std::vector<std::string>& heads, std::size_t names,
                          const std::vector<std::vector<std::string>>& rows) {
  std::string text = fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
      "aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
      escaped(caption));
  for (std::size_t c = 0; c < heads.size(); ++c)
    text += fmt::format("<th scope=\"col\"{}>{}</th>", c < names ? " class=\"l\"" : "", escaped(heads[c]));
  text += "</tr></thead><tbody>";
  for (const auto& row : rows) {
    text += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) text += (c < names ? "<td class=\"l\">" : "<td>") + row[c] + "</td>";
    text += "</tr>";
  }
  return text + "</tbody></table></div>";
}

std::string paragraphs(const std::string& about) {
  std::string text;
  std::size_t begin = 0;
  while (begin < about.size()) {
    const std::size_t end = std::min(about.find("\n\n", begin), about.size());
    const std::string part = about.substr(begin, end - begin);
    if (part.find_first_not_of(" \n") != std::string::npos) text += "<p>" + escaped(part) + "</p>";
    begin = end + 2;
  }
  return text;
}

std::string to_html(const Document& document) {
  std::string policy =
      "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; script-src";
  std::string programs;
  for (const std::string& element : document.data) programs += element;
  if (document.scripts.empty()) policy += " 'none'";
  for (const std::string& one : document.scripts) {
    const std::string script = as_script(one);
    policy += " 'sha256-" + base64_of_hex(sha256(script)) + "'";
    programs += "<script>" + script + "</script>\n";
  }
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
         "http-equiv=\"Content-Security-Policy\" content=\"" +
         policy +
         "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" "
         "content=\"light dark\">\n"
         "<title>" +
         escaped(document.title) + "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>" +
         data_text("results/page/page.css") + document.style + "</style>\n</head>\n<body>\n" + document.body +
         programs + "</body>\n</html>\n";
}

}  // namespace bakeoff
