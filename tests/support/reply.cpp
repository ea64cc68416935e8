#include "tests/support/reply.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace bakeoff::test {

namespace {

[[noreturn]] void malformed(const std::string& what, std::string_view bytes) {
  throw std::runtime_error("malformed reply: " + what + " in \"" + std::string(bytes.substr(0, 400)) + "\"");
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

}  // namespace

std::string Reply::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

bool Reply::keep_alive() const {
  const std::string connection = lower(header("connection"));
  if (connection.find("close") != std::string::npos) return false;
  return minor_version >= 1 || connection.find("keep-alive") != std::string::npos;
}

std::optional<Reply> take_reply(std::string& bytes, bool to_head, bool closed, std::size_t* needed) {
  if (needed != nullptr) *needed = bytes.size() + 1;
  const std::size_t head_bytes = bytes.find("\r\n\r\n");
  if (head_bytes == std::string::npos) {
    if (closed && !bytes.empty()) malformed("connection closed within the head", bytes);
    return std::nullopt;
  }
  const std::string_view head = std::string_view(bytes).substr(0, head_bytes + 2);  // every line with its CRLF

  // HTTP/1.1 200 OK
  Reply reply;
  const std::size_t first_end = head.find("\r\n");
  const std::string_view first = head.substr(0, first_end);
  if (first.size() < 13 || first.substr(0, 7) != "HTTP/1." || !std::isdigit(static_cast<unsigned char>(first[7])) ||
      first[8] != ' ' || first[12] != ' ' ||
      !std::all_of(first.begin() + 9, first.begin() + 12, [](unsigned char c) { return std::isdigit(c); })) {
    malformed("status line", bytes);
  }
  reply.minor_version = first[7] - '0';
  reply.status = std::stoi(std::string(first.substr(9, 3)));

  for (std::size_t at = first_end + 2; at < head.size();) {
    const std::size_t end = head.find("\r\n", at);
    const std::string_view line = head.substr(at, end - at);
    at = end + 2;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) malformed("header line", line);
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
    if (std::any_of(value.begin(), value.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
      malformed("control byte", line);
    if (!reply.headers.emplace(lower(line.substr(0, colon)), value).second) malformed("header given twice", line);
  }
  if (reply.has("transfer-encoding")) malformed("Transfer-Encoding, which a server of files needs not", bytes);

  const std::size_t body_at = head_bytes + 4;
  const bool bodiless = to_head || reply.status / 100 == 1 || reply.status == 204 || reply.status == 304;
  if (reply.has("content-length")) {
    const std::string text = reply.header("content-length");
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
      malformed("Content-Length", text);
    const std::size_t length = bodiless ? 0 : std::stoull(text);
    if (bytes.size() - body_at < length) {
      if (closed)
        malformed("connection closed " + std::to_string(length - (bytes.size() - body_at)) + " bytes early", head);
      if (needed != nullptr) *needed = body_at + length;
      return std::nullopt;
    }
    reply.body = bytes.substr(body_at, length);
    bytes.erase(0, body_at + length);
  } else if (bodiless) {
    bytes.erase(0, body_at);
  } else {
    if (!closed) return std::nullopt;
    reply.ended_by_close = true;
    reply.body = bytes.substr(body_at);
    bytes.clear();
  }
  return reply;
}

}  // namespace bakeoff::test
