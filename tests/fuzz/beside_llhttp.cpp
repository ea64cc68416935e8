// A differential target: requests that the servers' parser and llhttp (Node's; Debian's package node-llhttp has it in
// C) read differently can be smuggled past one of the two. Ours may refuse more, and says why in request_parser.h.
#include <llhttp.h>

#include <algorithm>

#include "core/http/request_parser.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/server_side.h"

namespace bakeoff::fuzz {
namespace {

struct Read {
  bool head_ends = false, refused = false;
  llhttp_errno_t error = HPE_OK;
  llhttp_t parser{};
};

int head_ended(llhttp_t* parser) {
  static_cast<Read*>(parser->data)->head_ends = true;
  return HPE_PAUSED;
}

// Reads on where it has stopped.
void read_on(Read& read, std::string_view bytes) {
  if (read.head_ends || read.refused) return;
  const Block block(bytes);
  read.error = llhttp_execute(&read.parser, block.view().data(), block.view().size());
  read.refused = read.error != HPE_OK && !read.head_ends;
}

bool names_proxy_connection(std::string_view head) {
  constexpr std::string_view name = "proxy-connection";
  const auto found = std::search(head.begin(), head.end(), name.begin(), name.end(),
                                 [](char a, char b) { return (a | 0x20) == b || a == b; });
  return found != head.end();
}

}  // namespace

void beside_llhttp(std::string_view bytes) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_headers_complete = head_ended;
  Read theirs;
  llhttp_init(&theirs.parser, HTTP_REQUEST, &settings);
  theirs.parser.data = &theirs;

  RequestParser parser;
  Request ours;
  switch (parser.parse(bytes, ours)) {
    case RequestParser::Result::refused: return;
    case RequestParser::Result::incomplete:
      read_on(theirs, bytes);
      must(!theirs.head_ends, "llhttp sees no end of a head that ours does not see");
      return;
    case RequestParser::Result::complete: break;
  }
  // A higher minor version is served as the highest known (RFC 9110, 2.5); llhttp refuses it.
  const std::string_view head = bytes.substr(0, parser.consumed());
  const std::string_view line = head.substr(0, head.find('\r', head.find_first_not_of("\r\n")));
  if (!line.ends_with("HTTP/1.0") && !line.ends_with("HTTP/1.1")) return;

  read_on(theirs, head.substr(0, head.size() - 1));
  must(!theirs.head_ends, "llhttp does not see a head end sooner");
  read_on(theirs, head.substr(head.size() - 1));
  // Where no end of a message is in doubt llhttp may refuse more: characters in a target; empty elements of a list of
  // codings (RFC 9110, 5.6.1), behind which ours closes the connection anyway; and tabs, which are white space to RFC
  // 9110, 5.6.3 and not to llhttp.
  const bool has_tab = head.find('\t') != std::string_view::npos;
  if (theirs.refused && (has_tab || theirs.error == HPE_INVALID_URL)) return;
  if (ours.chunked && (theirs.error == HPE_INVALID_TRANSFER_ENCODING || has_tab)) return;
  must(!theirs.refused, "llhttp takes what ours takes");
  must(theirs.head_ends, "llhttp does not see a head end later");
  must(theirs.parser.method == (ours.method == Method::get ? HTTP_GET : HTTP_HEAD), "the method is the same");
  must(((theirs.parser.flags & F_CHUNKED) != 0) == ours.chunked, "a body is chunked for both or for neither");
  const bool has_length = (theirs.parser.flags & F_CONTENT_LENGTH) != 0;
  must((has_length ? theirs.parser.content_length : 0) == ours.content_bytes, "a body has one length");
  // Ways of llhttp's with Connection: an HTTP/1.0 client may keep a connection that it also wants closed, and
  // Proxy-Connection is taken for it.
  const bool own_way = ((theirs.parser.flags & F_CONNECTION_CLOSE) != 0 && ours.minor_version == 0) || has_tab ||
                       names_proxy_connection(head);
  if (!own_way) must((llhttp_should_keep_alive(&theirs.parser) != 0) == ours.keep_alive, "a connection stays for both");
}

}  // namespace bakeoff::fuzz
