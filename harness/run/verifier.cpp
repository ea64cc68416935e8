#include "harness/run/verifier.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <optional>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr double patience_s = 15;  // for one answer: the papers' clients wait as long
// What may wait to be parsed: a head, or the line before a chunk, or the trailers. Without a bound a server that never
// ends one of them fills the memory.
constexpr std::size_t most_buffered_bytes = 64 << 10;

std::string words_for(const boost::system::error_code& error) {
  if (error == http::error::buffer_overflow) return "a line before a chunk, or trailers, of more than 64 KiB";
  return error.message();
}

class Verifier {
 public:
  Verifier(Reactor& reactor, const std::string& server, const asio::ip::tcp::endpoint& endpoint,
           const std::function<bool()>& alive)
      : reactor_(reactor), server_(server), endpoint_(endpoint), alive_(alive), socket_(reactor.io()) {}

  void check(const WorkloadFile& file) {
    http::request<http::empty_body> request(http::verb::get, file.path, 11);
    request.set(http::field::host, "localhost");
    std::optional<http::response_parser<http::string_body>> parser;
    for (bool fresh = false;;) {
      if (!socket_.is_open()) {
        connect(file);
        fresh = true;
      }
      parser.emplace();
      parser->body_limit(file.size_bytes);
      const char* when = "while it was asked";
      boost::system::error_code error =
          wait(file, when, [&](auto handler) { http::async_write(socket_, request, handler); });
      if (!error) {
        when = "while it answered";
        error = wait(file, when, [&](auto handler) { http::async_read(socket_, buffer_, *parser, handler); });
      }
      if (!error) break;
      // Between two replies a server may close.
      if (fresh || parser->got_some()) fail(file, words_for(error) + " " + when);
      socket_.close();
      ++kept_.closed;
    }
    ++kept_.replies;

    const auto& response = parser->get();
    if (response.result() != http::status::ok)
      fail(file, "expected status 200, got " + std::to_string(response.result_int()));
    if (response.body().size() != file.size_bytes) {
      fail(file,
           "expected " + std::to_string(file.size_bytes) + " bytes, got " + std::to_string(response.body().size()));
    }
    if (!content_matches(file.content_seed, 0, response.body())) fail(file, "the bytes are wrong");
    if (response.keep_alive()) return;
    socket_.close();
    ++kept_.closed;
  }

  const KeptConnections& kept() const { return kept_; }

 private:
  void connect(const WorkloadFile& file) {
    buffer_.clear();
    const char* const when = "while it was connected to";
    const boost::system::error_code failed = wait(file, when, [&](auto handler) {
      socket_.async_connect(endpoint_, [handler](const boost::system::error_code& error) { handler(error, 0); });
    });
    if (failed) fail(file, failed.message() + " " + when);
  }

  // Fails when there is no outcome.
  template <class Begin>
  boost::system::error_code wait(const WorkloadFile& file, const char* when, Begin begin) {
    std::optional<boost::system::error_code> outcome;
    begin([&outcome](const boost::system::error_code& error, std::size_t) { outcome = error; });
    // The handler refers to this frame: whatever ends the wait, it must have run before we leave.
    struct Cancel {
      Verifier& verifier;
      const std::optional<boost::system::error_code>& done;
      ~Cancel() {
        if (done) return;
        boost::system::error_code ignored;
        verifier.socket_.close(ignored);
        verifier.reactor_.wait_until_uninterrupted([this] { return done.has_value(); }, after_s(5));
      }
    } cancel{*this, outcome};
    const bool ended = reactor_.wait_until([&] { return outcome.has_value() || !alive_(); }, after_s(patience_s));
    if (!outcome)
      fail(file, ended ? std::string("it ended ") + when
                       : "no answer in " + std::to_string(static_cast<int>(patience_s)) + " s");
    return *outcome;
  }

  [[noreturn]] void fail(const WorkloadFile& file, const std::string& what) {
    throw StartError(server_ + ": " + file.path + ": " + what);
  }

  Reactor& reactor_;
  const std::string& server_;
  asio::ip::tcp::endpoint endpoint_;
  const std::function<bool()>& alive_;
  asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_{most_buffered_bytes};
  KeptConnections kept_;
};

}  // namespace

KeptConnections verify_files(Reactor& reactor, const std::string& server, std::uint16_t port, const FileSet& files,
                             const std::function<bool()>& alive, const std::string& address) {
  Verifier verifier(reactor, server, {asio::ip::make_address(address), port}, alive);
  for (const WorkloadFile& file : files.files()) verifier.check(file);
  if (files.size() > 0) verifier.check(files[0]);  // of a single file, too, it shows whether the connection is kept
  return verifier.kept();
}

}  // namespace bakeoff
