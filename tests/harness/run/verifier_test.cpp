// The verifier against a server in the same loop that answers as the test wants.
#include "harness/run/verifier.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <list>

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

using boost::asio::ip::tcp;
using Answer = std::function<std::string(const std::string& path)>;

class FakeServer {
 public:
  FakeServer(Reactor& reactor, Answer answer)
      : answer_(std::move(answer)), acceptor_(reactor.io(), tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
    accept();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  int accepted = 0;

 private:
  struct Peer {
    explicit Peer(tcp::socket taken) : socket(std::move(taken)) {}
    tcp::socket socket;
    std::string request, reply;
  };

  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
      if (error) return;
      ++accepted;
      peers_.emplace_back(std::move(socket));
      serve(peers_.back());
      accept();
    });
  }
  void serve(Peer& peer) {
    boost::asio::async_read_until(peer.socket, boost::asio::dynamic_buffer(peer.request), "\r\n\r\n",
                                  [this, &peer](const boost::system::error_code& error, std::size_t bytes) {
                                    if (error) return;
                                    const std::string head = peer.request.substr(0, bytes);
                                    peer.request.erase(0, bytes);
                                    peer.reply = answer_(head.substr(4, head.find(' ', 4) - 4));
                                    if (peer.reply.empty()) return peer.socket.close();
                                    boost::asio::async_write(
                                        peer.socket, boost::asio::buffer(peer.reply),
                                        [this, &peer](const boost::system::error_code& failed, std::size_t) {
                                          if (!failed) serve(peer);
                                        });
                                  });
  }

  Answer answer_;
  tcp::acceptor acceptor_;
  std::list<Peer> peers_;
};

FileSet two_files() {
  FileSet files("two");
  files.add("/a", 100);
  files.add("/b", 5000);
  return files;
}

std::string right_bytes(const FileSet& files, const std::string& path) {
  const WorkloadFile& file = files[files.find(path).value()];
  std::string bytes(file.size_bytes, '\0');
  content(file.content_seed, 0, bytes);
  return bytes;
}

std::string ok(const std::string& body, const std::string& more = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" + body;
}

std::string verdict(const Answer& answer) {
  Reactor reactor;
  const FakeServer server(reactor, answer);
  try {
    verify_files(reactor, "fake", server.port(), two_files(), [] { return true; });
  } catch (const StartError& error) {
    return error.what();
  }
  return "fine";
}

}  // namespace

TEST_CASE("a server that answers every file rightly passes, over one connection") {
  const FileSet files = two_files();
  Reactor reactor;
  const FakeServer server(reactor, [&](const std::string& path) { return ok(right_bytes(files, path)); });
  const KeptConnections kept = verify_files(reactor, "fake", server.port(), files, [] { return true; });
  CHECK(server.accepted == 1);
  CHECK(kept.replies == 3);
  CHECK(kept.closed == 0);
  CHECK_FALSE(kept.one_request_each());
}

TEST_CASE("a server that closes after each answer, announced or not, is asked on new connections, and is told so") {
  const FileSet files = two_files();
  for (const bool announced : {true, false}) {
    CAPTURE(announced);
    Reactor reactor;
    int asked = 0;
    const FakeServer server(reactor, [&](const std::string& path) {
      if (!announced && asked++ % 2 == 1) return std::string();
      return ok(right_bytes(files, path), announced ? "Connection: close\r\n" : "");
    });
    const KeptConnections kept = verify_files(reactor, "fake", server.port(), files, [] { return true; });
    CHECK(server.accepted == 3);
    CHECK(kept.replies == 3);
    CHECK(kept.one_request_each());
  }
}

TEST_CASE("what is wrong is named with the server and the file") {
  const FileSet files = two_files();
  const auto when_b = [&](const std::string& reply) {
    return verdict([&, reply](const std::string& path) { return path == "/a" ? ok(right_bytes(files, path)) : reply; });
  };
  std::string wrong = right_bytes(files, "/b");
  wrong[4999] ^= 1;
  CHECK(when_b(ok(wrong)) == "fake: /b: the bytes are wrong");
  CHECK(when_b(ok("short")) == "fake: /b: expected 5000 bytes, got 5");
  CHECK(when_b("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") == "fake: /b: expected status 200, got 404");
  CHECK(when_b(ok(std::string(6000, 'x'))).starts_with("fake: /b: body limit exceeded"));
  CHECK(when_b("nonsense\r\n\r\n").starts_with("fake: /b: bad version"));
  CHECK(when_b("") == "fake: /b: end of stream while it answered");
}

TEST_CASE("a reply that never comes to its end takes little memory") {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", much(1'000'000, 'x');
  const auto when = [](const std::string& reply) { return verdict([&](const std::string&) { return reply; }); };
  CHECK(when("HTTP/1.1 200 " + much) == "fake: /a: header limit exceeded while it answered");
  const std::string refusal = "fake: /a: a line before a chunk, or trailers, of more than 64 KiB while it answered";
  CHECK(when(chunked + "5;" + much) == refusal);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 100'000; ++i) trailers += "A: b\r\n";
  CHECK(when(chunked + trailers) == refusal);
}

TEST_CASE("a server that ends while it is asked is not waited for") {
  Reactor reactor;
  const FakeServer server(reactor, [](const std::string&) { return std::string("HTTP/1.1 200 OK\r\n"); });
  CHECK_THROWS_WITH(verify_files(reactor, "fake", server.port(), two_files(), [] { return false; }),
                    Catch::Contains("fake: /a: it ended while it"));
}
