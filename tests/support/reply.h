// A strict reader of HTTP replies: what a tolerant client would let pass is an error here.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bakeoff::test {

struct Reply {
  int minor_version = 0;
  int status = 0;
  std::map<std::string, std::string> headers;  // by name in lower case
  std::string body;
  bool ended_by_close = false;  // without Content-Length: the body reached to the end of the connection

  // The header's value; empty when absent.
  std::string header(const std::string& name) const;
  bool has(const std::string& name) const { return headers.count(name) != 0; }
  // Whether the connection stays, by version and Connection (RFC 9112, 9.3).
  bool keep_alive() const;
};

// Removes one reply from the front of `bytes`; nothing while more bytes are needed: `needed` is then the least
// total. Throws std::runtime_error for anything malformed. `to_head`: the request was a HEAD. `closed`: no more bytes
// will come.
std::optional<Reply> take_reply(std::string& bytes, bool to_head, bool closed, std::size_t* needed = nullptr);

}  // namespace bakeoff::test
